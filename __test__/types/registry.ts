/*
 * What `worker-server-native/registry` exports, and the shapes that programs written for the registry rely on.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import type { EventEmitter } from "node:events";
import { expectTypeOf } from "expect-type";
import type { WorkerServer } from "../../index.js";
import * as registry from "../../registry.js";

expectTypeOf<keyof typeof registry>().toEqualTypeOf<
  "ClaudeFlowMemory" | "InMemoryClaudeFlowMemory" | "RedisStore" | "WorkerRegistry" | "registerServer"
>();

const workers = new registry.WorkerRegistry({ memory: new registry.ClaudeFlowMemory() });
expectTypeOf(workers).toExtend<EventEmitter<registry.WorkerRegistryEvents>>();
expectTypeOf(registry.WorkerRegistry).constructorParameters.toEqualTypeOf<
  [config?: registry.WorkerRegistryConfig]
>();
expectTypeOf(registry.ClaudeFlowMemory).instance.toExtend<registry.MemoryStore>();
expectTypeOf(registry.RedisStore).instance.toExtend<registry.MemoryStore>();
expectTypeOf<registry.ClaudeFlowMemory>().toEqualTypeOf<registry.InMemoryClaudeFlowMemory>();

// Any object with the five methods is a memory.
const plain = {
  store: async (_key: string, _value: string, _ttl?: number) => {},
  get: async (_key: string): Promise<string | null> => null,
  delete: async (_key: string) => {},
  search: async (_pattern: string): Promise<Array<{ key: string; value: string }>> => [],
  list: async (_namespace?: string): Promise<string[]> => [],
};
expectTypeOf(plain).toExtend<registry.MemoryStore>();
expectTypeOf<{ get(key: string): Promise<string | null> }>().not.toExtend<registry.MemoryStore>();

expectTypeOf(workers.registerWorker).toEqualTypeOf<
  (registration: registry.WorkerRegistration) => Promise<registry.Worker>
>();
expectTypeOf(workers.getWorker).returns.resolves.toEqualTypeOf<registry.Worker | null>();
expectTypeOf(workers.discoverWorkers).returns.resolves.toEqualTypeOf<registry.Worker[]>();
expectTypeOf(workers.getWorkersForLoadBalancing).returns.resolves.toEqualTypeOf<
  registry.WorkerWithPriority[]
>();
expectTypeOf(workers.tryAcquire).returns.resolves.toEqualTypeOf<registry.WorkerWithPriority | null>();
expectTypeOf(workers.acquire).returns.resolves.toEqualTypeOf<registry.Reservation | null>();
expectTypeOf(workers.release).returns.resolves.toEqualTypeOf<boolean>();
expectTypeOf(workers.cleanup).returns.resolves.toEqualTypeOf<string[]>();
expectTypeOf<registry.Worker["healthStatus"]>().toEqualTypeOf<"healthy" | "degraded" | "unhealthy">();
expectTypeOf<registry.Worker["lastHeartbeat"]>().toEqualTypeOf<Date>();
expectTypeOf(registry.registerServer).parameter(0).toExtend<object>();
expectTypeOf<WorkerServer>().toExtend<Parameters<typeof registry.registerServer>[0]>();

workers.on("workerUnregistered", ({ workerId, reason }) => {
  expectTypeOf(workerId).toEqualTypeOf<string>();
  expectTypeOf(reason).toEqualTypeOf<"explicit" | "cleanup" | "ttl">();
});
// @ts-expect-error: exactly these options.
void new registry.WorkerRegistry({ ttl: 5 });
// @ts-expect-error: slots are needed.
void workers.registerWorker({ nodeId: "a", capabilities: [] });
