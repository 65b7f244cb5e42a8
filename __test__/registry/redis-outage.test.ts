import { createServer } from "node:net";
import { portOf, release } from "../support/ports";
import { TestRedis } from "../support/redis";
import { eventually, node } from "./harness";
import { closeAll, registryOn, registryWith, storeOn } from "./redis-harness";

/** What a call may take: the default timeout, and what the process needs itself. */
const LIMIT_MS = 2_500;

let redis: TestRedis;

beforeEach(async () => {
  redis = await TestRedis.start();
});

afterEach(async () => {
  await closeAll();
  await TestRedis.stopAll();
});

/** The error of a call, which must come in time. */
async function failureOf(call: Promise<unknown>): Promise<any> {
  const start = performance.now();
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(performance.now() - start).toBeLessThan(LIMIT_MS);
  return error;
}

test("while the engine is away calls reject with its address, and work again when it is back", async () => {
  const registry = registryOn(redis);
  await registry.registerWorker(node("node-1"));
  await redis.kill();
  for (let count = 0; count < 3; count += 1) {
    const error = await failureOf(registry.discoverWorkers());
    expect(error).toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    expect(error.message).toContain(`127.0.0.1:${redis.port}`);
  }
  await redis.restart();
  await eventually(
    () =>
      registry.registerWorker(node("node-2")).then(
        () => true,
        () => false,
      ),
    "a worker is registered again",
  );
});

test("an engine that is never there is told of at once", async () => {
  await redis.kill();
  const error = await failureOf(registryOn(redis).registerWorker(node("node-1")));
  expect(error).toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
});

test("an engine that stands still does not hold calls, and a lost reply is told of", async () => {
  const registry = registryOn(redis);
  const worker = await registry.registerWorker(node("node-1"));
  redis.pause();
  const errors = await Promise.all([
    failureOf(registry.heartbeat(worker.id)),
    failureOf(registry.getWorker(worker.id)),
  ]);
  for (const error of errors) expect(error).toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  expect(errors[0].message).toContain("the reply was lost");
  redis.resume();
  await eventually(
    () =>
      registry.heartbeat(worker.id).then(
        () => true,
        () => false,
      ),
    "the heartbeat arrives",
  );
});

test("a server that accepts and says nothing does not hold calls", async () => {
  const silent = createServer();
  silent.listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const sockets = new Set<{ destroy(): void }>();
  silent.on("connection", (socket) => sockets.add(socket));
  const store = storeOn({ url: `redis://127.0.0.1:${portOf(silent)}`, commandTimeoutMs: 300 });
  expect(await failureOf(store.get("key"))).toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  await store.close();
  for (const socket of sockets) socket.destroy();
  await release(silent);
});

test("a server that is too old is refused, with its version", async () => {
  // There is no such server to install, so this one says of itself what an old one would.
  const info = "# Server\r\nredis_version:5.0.14\r\n";
  const old = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const commands = String(data).match(/^\*/gm) ?? [];
      const isInfo = /INFO/i.test(String(data)) && !/SETINFO/i.test(String(data));
      const reply = isInfo ? `$${info.length}\r\n${info}\r\n` : "+OK\r\n".repeat(commands.length);
      socket.write(reply);
    });
  });
  old.listen(0, "127.0.0.1");
  await new Promise((resolve) => old.once("listening", resolve));
  const store = storeOn({ url: `redis://127.0.0.1:${portOf(old)}` });
  const error = await failureOf(store.get("key"));
  expect(error).toMatchObject({ code: "ERR_ENGINE_VERSION" });
  expect(error.message).toContain("5.0.14");
  await store.close();
  old.close();
});

test("the process is not blocked, and other stores go on", async () => {
  const other = await TestRedis.start();
  const [away, there] = [registryOn(redis), registryOn(other)];
  await redis.kill();
  const failures = Array.from({ length: 50 }, () => failureOf(away.discoverWorkers()));
  const worker = await there.registerWorker(node("node-1"));
  await there.heartbeat(worker.id);
  for (const error of await Promise.all(failures)) {
    expect(error).toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  }
});

test("workers register again after the engine has lost its data, and no count drifts", async () => {
  const registry = registryOn(redis);
  const handles = ["a", "b", "c"].map((name) =>
    registry.keepAlive(node(name, ["coder"], 2), { intervalMs: 20 }),
  );
  await eventually(async () => (await registry.discoverWorkers()).length === 3, "all are registered");
  const load = Array.from({ length: 200 }, async () => {
    const worker = await registry.tryAcquire().catch(() => null);
    if (worker !== null) await registry.recordTaskCompletion(worker.id, true, 1).catch(() => undefined);
  });
  await redis.kill();
  await Promise.all(load);
  await redis.restart();
  const nodes = async (): Promise<string[]> =>
    (await registry.discoverWorkers().catch(() => [])).map(({ nodeId }) => nodeId).sort();
  await eventually(async () => (await nodes()).join() === "a,b,c", "all are registered again");
  const workers = await registry.discoverWorkers();
  expect(workers.map(({ currentTasks }) => currentTasks)).toEqual([0, 0, 0]);
  expect(handles.map(({ worker }) => worker?.nodeId)).toEqual(["a", "b", "c"]);
  await Promise.all(handles.map((handle) => handle.stop()));
  expect(await registry.discoverWorkers()).toEqual([]);
}, 30_000);

test("a watcher is told of a gap when the engine has lost its data", async () => {
  const store = storeOn({ url: redis.url });
  const registry = registryWith(store);
  const types: string[] = [];
  store.watch("", ({ type }) => types.push(type));
  await registry.registerWorker(node("node-1"));
  await eventually(() => types.includes("set"), "the registration was told");
  await redis.kill();
  await redis.restart();
  await eventually(() => types.includes("resync"), "the gap was told");
});

test("scripts that the engine has forgotten are loaded again", async () => {
  const registry = registryOn(redis);
  const worker = await registry.registerWorker(node("node-1"));
  await registry.heartbeat(worker.id);
  await redis.command("SCRIPT", "FLUSH");
  await registry.heartbeat(worker.id);
  await registry.updateTaskCount(worker.id, 1);
  expect((await registry.getWorker(worker.id))!.currentTasks).toBe(1);
});
