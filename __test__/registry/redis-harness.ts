import { RedisStore, WorkerRegistry, type WorkerRegistryConfig } from "../../registry.js";
import { TestRedis } from "../support/redis";

type StoreOptions = ConstructorParameters<typeof RedisStore>[0];

const open: Array<{ close(): Promise<void> }> = [];

/** A store that is closed after the test. */
export function storeOn(options: StoreOptions): RedisStore {
  const store = new RedisStore(options);
  open.push(store);
  return store;
}

/** A registry on a store of its own, like that of a process of its own. */
export function registryOn(redis: TestRedis, config: WorkerRegistryConfig = {}): WorkerRegistry {
  return registryWith(storeOn({ url: redis.url }), config);
}

export function registryWith(memory: RedisStore, config: WorkerRegistryConfig = {}): WorkerRegistry {
  const registry = new WorkerRegistry({ memory, ...config });
  open.push(registry);
  return registry;
}

/** Closes what the last test has opened. */
export async function closeAll(): Promise<void> {
  for (const one of open.splice(0).reverse()) await one.close();
}

/** A worker as tests register it. */
export function node(nodeId: string, capabilities: string[] = ["coder"], maxConcurrentTasks = 5) {
  return { nodeId, capabilities, maxConcurrentTasks };
}

/** Waits until `condition` holds, asking again and again. */
export async function eventually(condition: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
