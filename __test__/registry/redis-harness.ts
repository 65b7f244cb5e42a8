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

/** One server for the tests of a file, without data at the start of each. */
export function useRedis(): () => TestRedis {
  let redis: TestRedis | undefined;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    await closeAll();
    await redis!.command("FLUSHALL");
  });
  afterAll(() => TestRedis.stopAll());
  return () => redis!;
}
