import { type Backend, backends } from "./backends";
import { node } from "./harness";

describe.each(backends)("on %s", (_name: string, stage: Backend) => {
  test("a worker is registered with everything at its start", async () => {
    const { registry, clock } = stage();
    const capabilities = ["coder", "tester"];
    const worker = await registry.registerWorker({ nodeId: "node-1", capabilities, maxConcurrentTasks: 5 });
    expect(worker).toEqual({
      id: expect.stringMatching(/^worker-1700000000000-[0-9a-z]{9}$/),
      nodeId: "node-1",
      capabilities: ["coder", "tester"],
      maxConcurrentTasks: 5,
      currentTasks: 0,
      healthStatus: "healthy",
      lastHeartbeat: new Date(clock.now),
      startedAt: new Date(clock.now),
      metrics: { tasksCompleted: 0, tasksFailedCount: 0, averageTaskDuration: 0 },
    });
    // A copy: changes of it, and of what was given, change nothing.
    capabilities.push("later");
    worker.capabilities.push("later");
    worker.currentTasks = 9;
    expect((await registry.getWorker(worker.id))!).toMatchObject({
      capabilities: ["coder", "tester"],
      currentTasks: 0,
    });
    expect(await registry.getWorker("worker-0-none")).toBeNull();
  });

  test("the record is readable under its key, the event under its own", async () => {
    const { registry, memory, clock } = stage();
    const worker = await registry.registerWorker(node("node-1"));
    const json = await memory.get(`task-sentinel/workers/${worker.id}`);
    expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(worker)));
    const second = await registry.registerWorker(node("node-2"));
    const events = await memory.list("task-sentinel/events/worker-registered/");
    expect(events).toEqual([
      `task-sentinel/events/worker-registered/${clock.now}`,
      `task-sentinel/events/worker-registered/${clock.now}-1`,
    ]);
    expect(JSON.parse((await memory.get(events[1]!))!)).toEqual({
      type: "worker-registered",
      workerId: second.id,
      nodeId: "node-2",
      capabilities: ["coder"],
      timestamp: new Date(clock.now).toISOString(),
    });
    await registry.unregisterWorker(worker.id);
    const gone = await memory.list("task-sentinel/events/worker-unregistered/");
    expect(JSON.parse((await memory.get(gone[0]!))!)).toEqual({
      type: "worker-unregistered",
      workerId: worker.id,
      timestamp: new Date(clock.now).toISOString(),
    });
    clock.now += 60_001;
    expect(await memory.get(events[0]!)).toBeNull();
  });

  test("health goes by the age of the heartbeat, whenever it is asked for", async () => {
    const { registry, clock } = stage({ healthyThreshold: 100, degradedThreshold: 500, workerTTL: 10_000 });
    const worker = await registry.registerWorker(node("node-1"));
    for (const [age, health] of [
      [0, "healthy"],
      [100, "healthy"],
      [101, "degraded"],
      [500, "degraded"],
      [501, "unhealthy"],
    ] as const) {
      clock.now = worker.startedAt.getTime() + age;
      expect((await registry.getWorker(worker.id))!.healthStatus).toBe(health);
      expect(await registry.discoverWorkers({ healthStatus: [health] })).toHaveLength(1);
      const others = (["healthy", "degraded", "unhealthy"] as const).filter((other) => other !== health);
      expect(await registry.discoverWorkers({ healthStatus: others })).toEqual([]);
    }
    await registry.heartbeat(worker.id);
    expect(await registry.getWorker(worker.id)).toMatchObject({
      healthStatus: "healthy",
      lastHeartbeat: new Date(clock.now),
    });
    // The clock is set back.
    clock.now -= 400;
    expect((await registry.getWorker(worker.id))!.healthStatus).toBe("healthy");
  });

  test("counts never fall below 0, and may exceed the slots", async () => {
    const { registry } = stage();
    const { id } = await registry.registerWorker(node("node-1"));
    await registry.updateTaskCount(id, -3);
    expect((await registry.getWorker(id))!.currentTasks).toBe(0);
    await registry.updateTaskCount(id, 100);
    const [worker] = await registry.getWorkersForLoadBalancing();
    expect(worker).toMatchObject({ currentTasks: 100, availableCapacity: -95, priority: 0.5 });
    expect(await registry.discoverWorkers({ minAvailableCapacity: 0 })).toEqual([]);
  });

  test("1,000 parallel changes are all counted", async () => {
    const { registry } = stage();
    const { id } = await registry.registerWorker(node("node-1"));
    await Promise.all(Array.from({ length: 1_000 }, () => registry.updateTaskCount(id, 1)));
    expect((await registry.getWorker(id))!.currentTasks).toBe(1_000);
  });

  test("completions free a slot and count in the average, failed ones too", async () => {
    const { registry } = stage();
    const { id } = await registry.registerWorker(node("node-1"));
    await registry.updateTaskCount(id, 2);
    await registry.recordTaskCompletion(id, true, 4_000);
    await registry.recordTaskCompletion(id, false, 6_000);
    await registry.recordTaskCompletion(id, true, 5_000);
    expect(await registry.getWorker(id)).toMatchObject({
      currentTasks: 0,
      metrics: { tasksCompleted: 2, tasksFailedCount: 1, averageTaskDuration: 5_000 },
    });
    await registry.updateMetrics(id, { tasksCompleted: 9 });
    expect((await registry.getWorker(id))!.metrics).toEqual({
      tasksCompleted: 9,
      tasksFailedCount: 1,
      averageTaskDuration: 5_000,
    });
  });

  test("filters are all met; the order is that of registration", async () => {
    const { registry } = stage();
    const nodes = [
      node("node-1", ["coder", "tester"], 5),
      node("node-2", ["coder"], 10),
      node("node-3", ["reviewer"], 3),
    ];
    const ids = [];
    for (const one of nodes) ids.push((await registry.registerWorker(one)).id);
    await registry.updateTaskCount(ids[0]!, 4);
    await registry.heartbeat(ids[0]!);
    const find = async (filter?: object): Promise<string[]> =>
      (await registry.discoverWorkers(filter)).map(({ nodeId }) => nodeId);
    expect(await find()).toEqual(["node-1", "node-2", "node-3"]);
    expect(await find({ capabilities: [], healthStatus: [] })).toEqual(["node-1", "node-2", "node-3"]);
    expect(await find({ capabilities: ["coder"] })).toEqual(["node-1", "node-2"]);
    expect(await find({ capabilities: ["coder", "tester"] })).toEqual(["node-1"]);
    expect(await find({ capabilities: ["coder"], minAvailableCapacity: 2 })).toEqual(["node-2"]);
    expect(await find({ capabilities: ["none"] })).toEqual([]);
    const [first] = await registry.getWorkersForLoadBalancing({ capabilities: ["coder"] });
    expect(first).toMatchObject({ nodeId: "node-2", availableCapacity: 10, successRate: 1 });
    const limited = await registry.getWorkersForLoadBalancing({ limit: 2 });
    expect(limited.map(({ nodeId }) => nodeId)).toEqual(["node-2", "node-3"]);
    expect(await registry.getWorkersForLoadBalancing({ limit: 0 })).toEqual([]);
  });

  test("equal priorities go by health, tasks and registration", async () => {
    const { registry, clock } = stage({ healthyThreshold: 100 });
    const old = await registry.registerWorker(node("old", [], 4));
    clock.now += 101;
    const busy = await registry.registerWorker(node("busy", [], 4));
    const first = await registry.registerWorker(node("first", [], 2));
    const second = await registry.registerWorker(node("second", [], 2));
    for (const { id } of [old, first, second]) await registry.updateTaskCount(id, id === old.id ? 2 : 1);
    await registry.updateTaskCount(busy.id, 2);
    const ranked = await registry.getWorkersForLoadBalancing();
    expect(ranked.map(({ nodeId }) => nodeId)).toEqual(["first", "second", "busy", "old"]);
  });

  test("weights and the factor for degraded workers are those of the options", async () => {
    const { registry, clock } = stage({
      weights: { capacity: 1, success: 0, speed: 0 },
      degradedPenalty: 0.5,
      healthyThreshold: 100,
    });
    const degraded = await registry.registerWorker(node("degraded", [], 10));
    clock.now += 101;
    const healthy = await registry.registerWorker(node("healthy", [], 10));
    await registry.updateTaskCount(healthy.id, 4);
    const ranked = await registry.getWorkersForLoadBalancing();
    expect(ranked.map(({ id, priority }) => [id, priority])).toEqual([
      [healthy.id, 0.6],
      [degraded.id, 0.5],
    ]);
    expect((await registry.tryAcquire())!.id).toBe(healthy.id);
  });

  test("a worker that is gone is not found, and no change brings it back", async () => {
    const { registry, memory } = stage();
    const { id } = await registry.registerWorker(node("node-1"));
    await registry.unregisterWorker(id);
    await registry.unregisterWorker(id);
    for (const change of [
      () => registry.heartbeat(id),
      () => registry.updateTaskCount(id, 1),
      () => registry.updateMetrics(id, {}),
      () => registry.recordTaskCompletion(id, true, 1),
      () => registry.setDraining(id, true),
    ]) {
      await expect(change()).rejects.toMatchObject({
        name: "Error",
        message: `Worker ${id} not found`,
        code: "WORKER_NOT_FOUND",
      });
    }
    expect(await memory.list("task-sentinel/workers/")).toEqual([]);
  });

  test("strict capacity is kept", async () => {
    const { registry } = stage({ strictCapacity: true });
    const { id } = await registry.registerWorker(node("node-1", [], 2));
    await registry.updateTaskCount(id, 2);
    await expect(registry.updateTaskCount(id, 1)).rejects.toMatchObject({
      message: `Worker ${id} has no capacity`,
      code: "WORKER_NO_CAPACITY",
    });
    await registry.updateTaskCount(id, -1);
    expect((await registry.getWorker(id))!.currentTasks).toBe(1);
  });

  test("a node may register twice, unless it is unique", async () => {
    const { registry } = stage();
    await registry.registerWorker(node("node-1"));
    await registry.registerWorker(node("node-1"));
    expect(await registry.discoverWorkers()).toHaveLength(2);

    const unique = stage({ uniqueNodeId: true });
    const first = await unique.registry.registerWorker(node("node-1"));
    const gone: unknown[] = [];
    unique.registry.on("workerUnregistered", (change) => gone.push(change));
    const second = await unique.registry.registerWorker(node("node-1"));
    expect((await unique.registry.discoverWorkers()).map(({ id }) => id)).toEqual([second.id]);
    expect(gone).toEqual([{ workerId: first.id, reason: "explicit" }]);
  });

  test("any text is a name", async () => {
    const { registry } = stage();
    for (const text of ["__proto__", "a/b", "*", "\u{1F600}", "\0", "x".repeat(10_000), '"\\'] as const) {
      const worker = await registry.registerWorker(node(text, [text]));
      expect(worker).toMatchObject({ nodeId: text, capabilities: [text] });
      expect((await registry.tryAcquire({ capabilities: [text] }))!.id).toBe(worker.id);
      await expect(registry.heartbeat(text)).rejects.toMatchObject({ code: "WORKER_NOT_FOUND" });
      expect(await registry.getWorker(text)).toBeNull();
      await registry.unregisterWorker(text);
    }
  });
});
