import { ClaudeFlowMemory, InMemoryClaudeFlowMemory, WorkerRegistry } from "../../registry.js";
import { MapStore } from "./backends";
import { node } from "./harness";

test("the alias is the class", () => {
  expect(InMemoryClaudeFlowMemory).toBe(ClaudeFlowMemory);
});

test.each([null, {}, "memory", { store() {}, get() {}, delete() {}, search() {} }])(
  "a memory that lacks a method is refused: %p",
  (memory) => {
    const create = (): unknown => new WorkerRegistry({ memory: memory as never });
    expect(create).toThrow(TypeError);
    expect(create).toThrow("WorkerRegistry requires a memory store");
  },
);

test.each(["workerTTL", "healthyThreshold", "degradedThreshold", "cleanupInterval"])(
  "%s is a finite number that is not negative",
  (name) => {
    for (const value of [-1, NaN, Infinity]) {
      expect(() => new WorkerRegistry({ [name]: value })).toThrow(RangeError);
      expect(() => new WorkerRegistry({ [name]: value })).toThrow(name);
    }
    expect(() => new WorkerRegistry({ [name]: "1" as never })).toThrow(TypeError);
    expect(() => new WorkerRegistry({ [name]: 0 })).not.toThrow();
  },
);

test("thresholds must not contradict each other; one that is given alone moves the other", async () => {
  expect(() => new WorkerRegistry({ healthyThreshold: 2, degradedThreshold: 1 })).toThrow(RangeError);
  const clock = { now: 1_700_000_000_000 };
  const now = (): number => clock.now;
  const late = new WorkerRegistry({ now, healthyThreshold: 2_000_000, workerTTL: 9_000_000 });
  const early = new WorkerRegistry({ now, degradedThreshold: 1_000 });
  const [slow, quick] = [await late.registerWorker(node("a")), await early.registerWorker(node("b"))];
  clock.now += 1_001;
  expect((await early.getWorker(quick.id))!.healthStatus).toBe("unhealthy");
  clock.now += 1_998_999;
  expect((await late.getWorker(slow.id))!.healthStatus).toBe("healthy");
  clock.now += 1;
  expect((await late.getWorker(slow.id))!.healthStatus).toBe("unhealthy");
});

test.each([
  [{ weights: { speed: -1 } }, "weights.speed"],
  [{ degradedPenalty: 2 }, "degradedPenalty"],
  [{ strictCapacity: 1 }, "strictCapacity"],
  [{ uniqueNodeId: "yes" }, "uniqueNodeId"],
  [{ handleSignals: 0 }, "handleSignals"],
  [{ now: 5 }, "now"],
])("%j is refused by name", (config, name) => {
  expect(() => new WorkerRegistry(config as never)).toThrow(name);
});

test.each([
  [{ ...node(""), nodeId: "" }, "nodeId"],
  [{ ...node("a"), nodeId: 5 }, "nodeId"],
  [{ ...node("a"), capabilities: "coder" }, "capabilities"],
  [{ ...node("a"), capabilities: [1] }, "capabilities"],
  [node("a", [], 0), "maxConcurrentTasks"],
  [node("a", [], 1.5), "maxConcurrentTasks"],
  [node("a", [], Infinity), "maxConcurrentTasks"],
  [null, "registration"],
])("the registration %j is refused by name", async (registration, name) => {
  const registry = new WorkerRegistry();
  const call = registry.registerWorker(registration as never);
  await expect(call).rejects.toThrow(TypeError);
  await expect(call).rejects.toThrow(name);
  expect(await registry.discoverWorkers()).toEqual([]);
});

test("numbers must be finite, filters well formed", async () => {
  const registry = new WorkerRegistry();
  const { id } = await registry.registerWorker(node("node-1"));
  for (const call of [
    registry.updateTaskCount(id, NaN),
    registry.updateTaskCount(id, "1" as never),
    registry.recordTaskCompletion(id, true, Infinity),
    registry.updateMetrics(id, { tasksCompleted: NaN }),
    registry.updateMetrics(id, null as never),
    registry.discoverWorkers({ healthStatus: ["ill" as never] }),
    registry.discoverWorkers({ capabilities: "coder" as never }),
    registry.discoverWorkers({ minAvailableCapacity: NaN }),
    registry.getWorkersForLoadBalancing({ limit: -1 }),
    registry.tryAcquire({}, 0),
    registry.acquire({}, { leaseMs: 0 }),
    registry.acquire({}, { owner: 5 as never }),
    registry.renew("token", { leaseMs: -1 }),
    registry.release("token", { success: 1 as never }),
    registry.setDraining(id, "yes" as never),
  ]) {
    await expect(call).rejects.toThrow(TypeError);
  }
  expect((await registry.getWorker(id))!.currentTasks).toBe(0);
});

test("a clock that shows no date is told of", async () => {
  const registry = new WorkerRegistry({ now: () => NaN });
  await expect(registry.registerWorker(node("node-1"))).rejects.toThrow(RangeError);
});

test("after close every call rejects, and a store that was given stays open", async () => {
  const memory = new ClaudeFlowMemory();
  const registry = new WorkerRegistry({ memory });
  const { id } = await registry.registerWorker(node("node-1"));
  await registry.close();
  await registry.close();
  await expect(registry.heartbeat(id)).rejects.toMatchObject({ code: "REGISTRY_CLOSED" });
  await expect(registry.discoverWorkers()).rejects.toMatchObject({ code: "REGISTRY_CLOSED" });
  expect(() => registry.startCleanup()).toThrow("The registry is closed");
  expect(await memory.get(`task-sentinel/workers/${id}`)).not.toBeNull();
  const other = new WorkerRegistry({ memory });
  expect(await other.getWorker(id)).not.toBeNull();
  await memory.close();
  await expect(other.getWorker(id)).rejects.toMatchObject({ code: "STORE_CLOSED" });
});

test("a memory whose methods were replaced is used through them", async () => {
  const memory = new ClaudeFlowMemory();
  const store = jest.spyOn(memory, "store");
  const registry = new WorkerRegistry({ memory });
  const { id } = await registry.registerWorker(node("node-1"));
  expect(store).toHaveBeenCalledWith(`task-sentinel/workers/${id}`, expect.any(String), 900_000);
  expect(await registry.getWorker(id)).not.toBeNull();
});

test("a store with five methods works", async () => {
  const memory = new MapStore();
  const registry = new WorkerRegistry({ memory });
  const { id } = await registry.registerWorker(node("node-1"));
  await registry.close();
  expect(memory.entries.has(`task-sentinel/workers/${id}`)).toBe(true);
});
