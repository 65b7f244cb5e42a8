/* A user's own program with a worker registry, to be compiled in all ways. */
import {
  ClaudeFlowMemory,
  RedisStore,
  WorkerRegistry,
  type MemoryStore,
  type Worker,
  type WorkerRegistryConfig,
} from "@hardlydifficult/worker-server/registry";

const memory: MemoryStore =
  process.env.REDIS_URL === undefined
    ? new ClaudeFlowMemory()
    : new RedisStore({ url: process.env.REDIS_URL });
const config: WorkerRegistryConfig = { memory, strictCapacity: true };
const registry = new WorkerRegistry(config);

registry.on("workerUnregistered", ({ workerId, reason }) => {
  console.log(workerId.length, reason === "ttl");
});

export async function main(): Promise<Worker | null> {
  const { id } = await registry.registerWorker({ nodeId: "a", capabilities: ["b"], maxConcurrentTasks: 1 });
  const held = await registry.acquire({ capabilities: ["b"] }, { leaseMs: 1000 });
  if (held !== null) console.log(held.worker.priority.toFixed(2), await registry.release(held.token));
  return registry.getWorker(id);
}
