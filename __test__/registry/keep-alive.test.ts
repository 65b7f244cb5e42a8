import { once } from "node:events";
import { WorkerRegistry } from "../../registry.js";
import { MapStore } from "./backends";
import { eventually, node } from "./harness";

test("a worker is registered, kept and unregistered", async () => {
  const registry = new WorkerRegistry({ healthyThreshold: 60, degradedThreshold: 60_000 });
  const handle = registry.keepAlive(node("node-1"));
  expect(handle.worker).toBeUndefined();
  const [worker] = await once(handle, "registered");
  expect(handle.worker).toEqual(worker);
  const { lastHeartbeat } = worker;
  await eventually(
    async () => (await registry.getWorker(worker.id))!.lastHeartbeat.getTime() > lastHeartbeat.getTime() + 50,
    "heartbeats arrive",
  );
  await handle.stop();
  expect(await registry.discoverWorkers()).toEqual([]);
  expect(handle.worker).toBeUndefined();
  await registry.close();
});

test("a worker that was removed is registered again", async () => {
  const registry = new WorkerRegistry();
  const handle = registry.keepAlive(node("node-1"), { intervalMs: 10 });
  const [first] = await once(handle, "registered");
  const lost = once(handle, "lost");
  const again = once(handle, "registered");
  await registry.unregisterWorker(first.id);
  expect((await lost)[0]).toMatchObject({ code: "WORKER_NOT_FOUND" });
  const [second] = await again;
  expect(second.id).not.toBe(first.id);
  expect((await registry.discoverWorkers()).map(({ id }) => id)).toEqual([second.id]);
  await handle.stop();
  await registry.close();
});

test("an outage of the store is told of once, and the worker goes on after it", async () => {
  const memory = new MapStore();
  const registry = new WorkerRegistry({ memory });
  const handle = registry.keepAlive(node("node-1"), { intervalMs: 10 });
  const [worker] = await once(handle, "registered");
  const get = memory.get.bind(memory);
  let failures = 0;
  memory.get = async () => {
    failures += 1;
    throw new Error("away");
  };
  const losses: Error[] = [];
  handle.on("lost", (error) => losses.push(error));
  await eventually(() => failures >= 3, "heartbeats fail");
  memory.get = get;
  const before = (await registry.getWorker(worker.id))!.lastHeartbeat.getTime();
  await eventually(
    async () => (await registry.getWorker(worker.id))!.lastHeartbeat.getTime() > before,
    "heartbeats arrive again",
  );
  expect(losses.map(({ message }) => message)).toEqual(["away"]);
  expect(handle.worker!.id).toBe(worker.id);
  await handle.stop();
  await registry.close();
});

test("a store that is away at first does not end it", async () => {
  const memory = new MapStore();
  const store = memory.store.bind(memory);
  memory.store = async () => {
    throw new Error("away");
  };
  const registry = new WorkerRegistry({ memory });
  const handle = registry.keepAlive(node("node-1"), { intervalMs: 10 });
  const [error] = await once(handle, "lost");
  expect(error.message).toBe("away");
  memory.store = store;
  await once(handle, "registered");
  await handle.stop();
  expect(await registry.discoverWorkers()).toEqual([]);
  await registry.close();
});

test("closing the registry ends it", async () => {
  const memory = new MapStore();
  const registry = new WorkerRegistry({ memory });
  const handle = registry.keepAlive(node("node-1"));
  await once(handle, "registered");
  await registry.close();
  expect(handle.worker).toBeUndefined();
  expect(await memory.list("task-sentinel/workers/")).toEqual([]);
  await handle.stop();
});

test("wrong arguments are refused at once", async () => {
  const registry = new WorkerRegistry();
  expect(() => registry.keepAlive(node("", [], 1))).toThrow(TypeError);
  expect(() => registry.keepAlive(node("node-1"), { intervalMs: 0 })).toThrow(TypeError);
  await registry.close();
});
