import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ClaudeFlowMemory, WorkerRegistry } from "../../registry.js";
import { type Backend, backends, MapStore } from "./backends";
import { node } from "./harness";

const ENTRY = join(__dirname, "../../registry.js");

/** What the registry tells, in order. */
function record(registry: WorkerRegistry): unknown[] {
  const events: unknown[] = [];
  registry.on("workerRegistered", (worker) => events.push(["registered", worker.nodeId]));
  registry.on("workerUnregistered", ({ reason }) => events.push(["unregistered", reason]));
  registry.on("workerHealthChanged", ({ worker, from, to }) => events.push([worker.nodeId, from, to]));
  registry.on("error", (error) => events.push(["error", (error as { code?: string }).code ?? error.message]));
  return events;
}

describe.each(backends)("on %s", (_name: string, stage: Backend) => {
  test("a cleanup tells of each change of health once, and removes who is unhealthy", async () => {
    const { registry, clock } = stage({ healthyThreshold: 100, degradedThreshold: 200, workerTTL: 60_000 });
    const events = record(registry);
    const silent = await registry.registerWorker(node("silent"));
    const alive = await registry.registerWorker(node("alive"));
    clock.now += 150;
    expect(await registry.cleanup()).toEqual([]);
    expect(await registry.cleanup()).toEqual([]);
    await registry.heartbeat(alive.id);
    clock.now += 100;
    expect(await registry.cleanup()).toEqual([silent.id]);
    expect(await registry.cleanup()).toEqual([]);
    expect(events).toEqual([
      ["registered", "silent"],
      ["registered", "alive"],
      ["silent", "healthy", "degraded"],
      ["alive", "healthy", "degraded"],
      ["alive", "degraded", "healthy"],
      ["silent", "degraded", "unhealthy"],
      ["unregistered", "cleanup"],
    ]);
    expect((await registry.discoverWorkers()).map(({ nodeId }) => nodeId)).toEqual(["alive"]);
  });

  test("every write renews the record; without one it expires, which is told of once", async () => {
    const { registry, memory, clock } = stage({ workerTTL: 1_000 });
    const events = record(registry);
    const { id } = await registry.registerWorker(node("node-1"));
    clock.now += 900;
    await registry.updateTaskCount(id, 1);
    clock.now += 1_000;
    expect(await registry.getWorker(id)).not.toBeNull();
    clock.now += 1;
    await registry.discoverWorkers();
    await registry.discoverWorkers();
    expect(await registry.getWorker(id)).toBeNull();
    await registry.cleanup();
    expect(events).toEqual([
      ["registered", "node-1"],
      ["unregistered", "ttl"],
    ]);
    expect(await memory.list("task-sentinel/events/worker-unregistered/")).toHaveLength(1);
    await expect(registry.heartbeat(id)).rejects.toMatchObject({ code: "WORKER_NOT_FOUND" });
  });

  test("a listener that throws fails no call", async () => {
    const thrown: unknown[] = [];
    const nextTick = jest.spyOn(process, "nextTick").mockImplementation(((callback: () => void) => {
      try {
        callback();
      } catch (error) {
        thrown.push(error);
      }
    }) as never);
    const { registry } = stage();
    registry.on("workerRegistered", () => {
      throw new Error("of the listener");
    });
    await registry.registerWorker(node("node-1"));
    nextTick.mockRestore();
    expect(thrown).toEqual([new Error("of the listener")]);
    expect(await registry.discoverWorkers()).toHaveLength(1);
  });
});

describe("the timer", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test("cleans up regularly until it is stopped, and may be started again", async () => {
    const registry = new WorkerRegistry({
      healthyThreshold: 100,
      degradedThreshold: 200,
      cleanupInterval: 150,
    });
    const events = record(registry);
    await registry.registerWorker(node("node-1"));
    registry.startCleanup();
    registry.startCleanup();
    await jest.advanceTimersByTimeAsync(150);
    expect(await registry.discoverWorkers()).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(150);
    expect(await registry.discoverWorkers()).toHaveLength(0);
    registry.stopCleanup();
    registry.stopCleanup();
    await registry.registerWorker(node("node-2"));
    await jest.advanceTimersByTimeAsync(1_000);
    expect(await registry.discoverWorkers()).toHaveLength(1);
    registry.startCleanup();
    await jest.advanceTimersByTimeAsync(150);
    expect(await registry.discoverWorkers()).toHaveLength(0);
    expect(events.filter((event) => (event as unknown[])[1] === "cleanup")).toHaveLength(2);
    expect(jest.getTimerCount()).toBeGreaterThan(0);
    await registry.close();
  });

  test("with the defaults an unhealthy worker is listed until the cleanup removes it", async () => {
    const registry = new WorkerRegistry();
    const events = record(registry);
    registry.startCleanup();
    const { id } = await registry.registerWorker(node("node-1"));
    await jest.advanceTimersByTimeAsync(899_999);
    expect((await registry.getWorker(id))!.healthStatus).toBe("degraded");
    await jest.advanceTimersByTimeAsync(2);
    expect((await registry.getWorker(id))!.healthStatus).toBe("unhealthy");
    await jest.advanceTimersByTimeAsync(300_000);
    expect(await registry.getWorker(id)).toBeNull();
    expect(events.at(-1)).toEqual(["unregistered", "cleanup"]);
    await registry.close();
  });

  test("an expired record is found without a call while somebody listens", async () => {
    const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory(), workerTTL: 1_000 });
    const events = record(registry);
    await registry.registerWorker(node("node-1"));
    await jest.advanceTimersByTimeAsync(1_002);
    expect(events.at(-1)).toEqual(["unregistered", "ttl"]);
    await registry.close();
  });

  test("a store that fails is told of, and after it nobody is removed for a while", async () => {
    const memory = new MapStore();
    const registry = new WorkerRegistry({
      memory,
      healthyThreshold: 100,
      degradedThreshold: 200,
      cleanupInterval: 100,
    });
    const events = record(registry);
    const { id } = await registry.registerWorker(node("node-1"));
    registry.startCleanup();
    const list = memory.list.bind(memory);
    memory.list = async () => {
      throw new Error("away");
    };
    await jest.advanceTimersByTimeAsync(300);
    memory.list = list;
    await jest.advanceTimersByTimeAsync(150);
    expect((await registry.getWorker(id))!.healthStatus).toBe("unhealthy");
    await jest.advanceTimersByTimeAsync(250);
    expect(await registry.getWorker(id)).toBeNull();
    expect(events.filter((event) => (event as unknown[])[0] === "error")).toEqual([
      ["error", "away"],
      ["error", "away"],
      ["error", "away"],
    ]);
    await registry.close();
  });
});

test("after an outage of the process workers get time to show themselves; it ends", async () => {
  const clock = { now: 1_700_000_000_000 };
  const memory = new ClaudeFlowMemory();
  const registry = new WorkerRegistry({
    memory,
    now: () => clock.now,
    healthyThreshold: 1_000,
    degradedThreshold: 2_000,
    workerTTL: 2_000,
  });
  const { id } = await registry.registerWorker(node("node-1"));
  registry.startCleanup();
  // The machine slept for an hour.
  clock.now += 3_600_000;
  expect(await registry.cleanup()).toEqual([]);
  expect((await registry.getWorker(id))!.healthStatus).toBe("unhealthy");
  await registry.heartbeat(id);
  const other = await registry.registerWorker(node("node-2"));
  clock.now += 2_001;
  await registry.heartbeat(id).catch(() => undefined);
  expect(await registry.cleanup()).toEqual([]);
  expect(await registry.getWorker(other.id)).toBeNull();
  await registry.close();
});

test("neither a registry nor its timer keeps a process alive or takes its signals", () => {
  const script = `
    const { WorkerRegistry } = require(${JSON.stringify(ENTRY)});
    const registries = Array.from({ length: 12 }, () => new WorkerRegistry());
    for (const registry of registries) registry.startCleanup();
    console.log(process.listenerCount("SIGINT") + process.listenerCount("SIGTERM") + process.listenerCount("SIGHUP"));
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "0\n", stderr: "" });
});

test.each([
  ["without a listener of the application the signal ends the process", "", null, "SIGTERM"],
  [
    "a listener of the application decides itself",
    'process.on("SIGTERM", () => setTimeout(() => process.exit(7), 10));',
    7,
    null,
  ],
])("handleSignals: %s", (_name, listener, status, signal) => {
  const script = `
    const { WorkerRegistry } = require(${JSON.stringify(ENTRY)});
    const registries = Array.from({ length: 12 }, () => new WorkerRegistry({ handleSignals: true }));
    for (const registry of registries) registry.startCleanup();
    if (process.listenerCount("SIGTERM") !== 1) process.exit(1);
    ${listener}
    setInterval(() => {}, 1000);
    process.kill(process.pid, "SIGTERM");
  `;
  const child = spawnSync(process.execPath, ["-e", script], { encoding: "utf8", timeout: 20_000 });
  expect({ status: child.status, signal: child.signal, stderr: child.stderr }).toEqual({
    status,
    signal,
    stderr: "",
  });
});
