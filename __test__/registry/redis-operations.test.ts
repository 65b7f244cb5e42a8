import { eventually, node } from "./harness";
import { registryOn, registryWith, storeOn, useRedis } from "./redis-harness";

const redis = useRedis();

test("a worker is registered, found and removed", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1", ["coder", "a:b", ""], 3));
  expect(worker).toEqual({
    id: expect.stringMatching(/^worker-\d{13}-[0-9a-z]{9}$/),
    nodeId: "node-1",
    capabilities: ["coder", "a:b", ""],
    maxConcurrentTasks: 3,
    currentTasks: 0,
    healthStatus: "healthy",
    lastHeartbeat: expect.any(Date),
    startedAt: expect.any(Date),
    metrics: { tasksCompleted: 0, tasksFailedCount: 0, averageTaskDuration: 0 },
  });
  expect(await registry.getWorker(worker.id)).toEqual(worker);
  expect(await registry.discoverWorkers({ capabilities: ["a:b", ""] })).toEqual([worker]);
  expect(await registry.discoverWorkers({ capabilities: ["unknown"] })).toEqual([]);
  await registry.unregisterWorker(worker.id);
  expect(await registry.getWorker(worker.id)).toBeNull();
  expect(await registry.discoverWorkers()).toEqual([]);
  const keys = (await redis().command("KEYS", "*")).match(/wsn:\S+/g) ?? [];
  expect(keys.filter((key) => !/:(?:s:task-sentinel\/events\/.*|ev|n)$/.test(key))).toEqual([]);
});

test("an unknown worker is not found by any change, and none brings it back", async () => {
  const registry = registryOn(redis());
  const gone = await registry.registerWorker(node("node-1"));
  await registry.unregisterWorker(gone.id);
  for (const call of [
    registry.heartbeat(gone.id),
    registry.updateTaskCount(gone.id, 1),
    registry.updateMetrics(gone.id, { tasksCompleted: 1 }),
    registry.recordTaskCompletion(gone.id, true, 1),
    registry.setDraining(gone.id, true),
  ]) {
    await expect(call).rejects.toMatchObject({
      message: `Worker ${gone.id} not found`,
      code: "WORKER_NOT_FOUND",
    });
  }
  expect(await registry.discoverWorkers()).toEqual([]);
});

test("priorities are those of the documented examples", async () => {
  const registry = registryOn(redis());
  const a = await registry.registerWorker(node("A", ["coder"], 10));
  await registry.updateTaskCount(a.id, 2);
  await registry.updateMetrics(a.id, { tasksCompleted: 45, tasksFailedCount: 5, averageTaskDuration: 5000 });
  const b = await registry.registerWorker(node("B", ["coder"], 5));
  await registry.updateTaskCount(b.id, 1);
  await registry.updateMetrics(b.id, { tasksCompleted: 10, averageTaskDuration: 3000 });
  const [first, second] = await registry.getWorkersForLoadBalancing({ capabilities: ["coder"] });
  expect([first!.nodeId, second!.nodeId]).toEqual(["B", "A"]);
  expect(first!.priority).toBeCloseTo(0.7667, 4);
  expect(second!.priority).toBeCloseTo(0.71, 10);
  expect((await registry.tryAcquire())!.nodeId).toBe("B");
});

test("the best worker is selected and reserved in one step", async () => {
  const registry = registryOn(redis());
  const few = await registry.registerWorker(node("few", ["coder", "gpu"], 1));
  const many = await registry.registerWorker(node("many", ["coder", "gpu"], 3));
  await registry.registerWorker(node("other", ["coder"], 9));
  const acquired = [];
  const wanted = { capabilities: ["gpu", "coder"] };
  for (let count = 0; count < 5; count += 1) acquired.push(await registry.tryAcquire(wanted));
  // Equal at first, so the earlier one; then always the one with more free slots.
  expect(acquired.map((worker) => worker?.id)).toEqual([few.id, many.id, many.id, many.id, undefined]);
  expect(acquired[3]).toMatchObject({ currentTasks: 3, availableCapacity: 0 });
  await registry.recordTaskCompletion(many.id, true, 100);
  expect((await registry.tryAcquire(wanted))!.id).toBe(many.id);
  expect(await registry.tryAcquire({ capabilities: ["coder"] }, 10)).toBeNull();
  expect((await registry.tryAcquire({ capabilities: ["coder"] }, 9))!.nodeId).toBe("other");
});

test("a draining worker is listed and gets no reservation", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1"));
  await registry.setDraining(worker.id, true);
  expect(await registry.tryAcquire()).toBeNull();
  expect(await registry.discoverWorkers({ minAvailableCapacity: 1 })).toEqual([
    expect.objectContaining({ id: worker.id, draining: true }),
  ]);
  await registry.setDraining(worker.id, false);
  expect((await registry.tryAcquire())!.id).toBe(worker.id);
});

test("strict capacity and unique nodes are kept", async () => {
  const registry = registryOn(redis(), { strictCapacity: true, uniqueNodeId: true });
  const first = await registry.registerWorker(node("node-1", ["coder"], 2));
  await registry.updateTaskCount(first.id, 2);
  await expect(registry.updateTaskCount(first.id, 1)).rejects.toMatchObject({
    message: `Worker ${first.id} has no capacity`,
    code: "WORKER_NO_CAPACITY",
  });
  const second = await registry.registerWorker(node("node-1"));
  expect((await registry.discoverWorkers()).map(({ id }) => id)).toEqual([second.id]);
});

test("slots of a lease come back when it is released, once, or over", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1", ["coder"], 2));
  const released = await registry.acquire({}, { leaseMs: 60_000, owner: "dispatcher ä" });
  expect(released!.worker).toMatchObject({ id: worker.id, currentTasks: 1 });
  expect(await registry.release(released!.token, { success: true, durationMs: 500 })).toBe(true);
  expect(await registry.release(released!.token)).toBe(false);
  const metrics = { tasksCompleted: 1, tasksFailedCount: 0, averageTaskDuration: 500 };
  expect(await registry.getWorker(worker.id)).toMatchObject({ currentTasks: 0, metrics });

  const short = await registry.acquire({}, { count: 2, leaseMs: 30 });
  await eventually(async () => (await registry.tryAcquire()) !== null, "the lease is over");
  await expect(registry.renew(short!.token)).rejects.toMatchObject({ code: "RESERVATION_NOT_FOUND" });
  expect(await registry.release(short!.token)).toBe(false);

  const renewed = await registry.acquire({}, { leaseMs: 50 });
  const end = await registry.renew(renewed!.token, { leaseMs: 60_000 });
  expect(end.getTime()).toBeGreaterThan(renewed!.expiresAt.getTime() + 50_000);
});

test("health goes by the engine's clock; degraded workers come later, unhealthy ones not at all", async () => {
  const config = { healthyThreshold: 1, degradedThreshold: 600_000, degradedPenalty: 0.5 };
  const registry = registryOn(redis(), config);
  const degraded = await registry.registerWorker(node("degraded", ["coder"], 10));
  await eventually(
    async () => (await registry.getWorker(degraded.id))!.healthStatus === "degraded",
    "the worker is degraded",
  );
  expect((await registry.tryAcquire({ healthStatus: ["degraded"] }))!.id).toBe(degraded.id);
  const ranked = await registry.getWorkersForLoadBalancing();
  expect(ranked[0]!.priority).toBeCloseTo(0.475, 10);

  const strict = registryOn(redis(), { healthyThreshold: 1, degradedThreshold: 2 });
  expect(await strict.tryAcquire()).toBeNull();
  expect((await strict.tryAcquire({ healthStatus: ["unhealthy"] }))!.id).toBe(degraded.id);
  await registry.heartbeat(degraded.id);
});

test("a cleanup removes unhealthy workers and tells every process once", async () => {
  const config = { healthyThreshold: 1, degradedThreshold: 2 };
  const [here, there] = [registryOn(redis(), config), registryOn(redis(), config)];
  const events: string[] = [];
  for (const [name, registry] of Object.entries({ here, there })) {
    registry.on("workerRegistered", (worker) => events.push(`${name} registered ${worker.nodeId}`));
    registry.on("workerUnregistered", ({ reason }) => events.push(`${name} ${reason}`));
  }
  await there.discoverWorkers();
  const workers = [];
  for (const name of ["a", "b"]) workers.push(await here.registerWorker(node(name)));
  await eventually(
    async () => (await here.discoverWorkers({ healthStatus: ["unhealthy"] })).length === 2,
    "both are unhealthy",
  );
  const removed = await Promise.all([here.cleanup(), there.cleanup()]);
  expect(removed.flat().sort()).toEqual(workers.map(({ id }) => id).sort());
  const expected = ["here", "there"].flatMap((name) => [`${name} cleanup`, `${name} cleanup`]);
  const cleanups = (): string[] => events.filter((event) => event.endsWith("cleanup")).sort();
  await eventually(() => cleanups().length >= expected.length, "all were told");
  expect(cleanups()).toEqual(expected);
});

test("a record that expires is told of once in each process, and stored once", async () => {
  const [here, there] = [registryOn(redis(), { workerTTL: 20 }), registryOn(redis(), { workerTTL: 20 })];
  const gone: string[] = [];
  here.on("workerUnregistered", ({ workerId, reason }) => gone.push(`here ${workerId} ${reason}`));
  there.on("workerUnregistered", ({ workerId, reason }) => gone.push(`there ${workerId} ${reason}`));
  await there.discoverWorkers();
  const worker = await here.registerWorker(node("node-1"));
  await eventually(async () => (await here.getWorker(worker.id)) === null, "the record has expired");
  await Promise.all([here.cleanup(), there.cleanup(), here.discoverWorkers(), there.tryAcquire()]);
  await eventually(() => gone.length >= 2, "both were told");
  expect(gone.sort()).toEqual([`here ${worker.id} ttl`, `there ${worker.id} ttl`]);
  const events = await storeOn({ url: redis().url }).list("task-sentinel/events/worker-unregistered/");
  expect(events).toHaveLength(1);
});

test("a heartbeat that finds another health tells of it", async () => {
  const registry = registryOn(redis(), { healthyThreshold: 1, degradedThreshold: 600_000 });
  const changes: string[] = [];
  registry.on("workerHealthChanged", ({ from, to }) => changes.push(`${from} ${to}`));
  const worker = await registry.registerWorker(node("node-1"));
  await eventually(
    async () => (await registry.getWorker(worker.id))!.healthStatus === "degraded",
    "the worker is degraded",
  );
  await registry.cleanup();
  await registry.heartbeat(worker.id);
  await eventually(() => changes.length >= 2, "both changes were told");
  expect(changes).toEqual(["healthy degraded", "degraded healthy"]);
});

test("two registries of one store hear of each other's workers", async () => {
  const memory = storeOn({ url: redis().url });
  const [here, there] = [registryWith(memory), registryWith(memory)];
  const heard = new Promise((resolve) => there.once("workerRegistered", resolve));
  const worker = await here.registerWorker(node("node-1"));
  expect(await heard).toEqual(worker);
});
