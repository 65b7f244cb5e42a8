import { type Backend, backends } from "./backends";
import { node } from "./harness";

describe.each(backends)("on %s", (_name: string, stage: Backend) => {
  test("the best worker is reserved in one step, until no slot is left", async () => {
    const { registry } = stage();
    const small = await registry.registerWorker(node("small", ["coder"], 1));
    const large = await registry.registerWorker(node("large", ["coder"], 3));
    const found = await Promise.all(
      Array.from({ length: 6 }, () => registry.tryAcquire({ capabilities: ["coder"] })),
    );
    const ids = found.map((worker) => worker?.id);
    expect(ids.filter((id) => id === small.id)).toHaveLength(1);
    expect(ids.filter((id) => id === large.id)).toHaveLength(3);
    expect(ids.filter((id) => id === undefined)).toHaveLength(2);
    await registry.recordTaskCompletion(large.id, true, 10);
    expect(await registry.tryAcquire({}, 2)).toBeNull();
    const again = await registry.tryAcquire();
    expect(again).toMatchObject({ id: large.id, currentTasks: 3, availableCapacity: 0 });
  });

  test("unhealthy workers are reserved only if the filter says so, draining ones never", async () => {
    const { registry, clock } = stage({ healthyThreshold: 10, degradedThreshold: 20 });
    const { id } = await registry.registerWorker(node("node-1"));
    clock.now += 15;
    expect((await registry.tryAcquire())!.healthStatus).toBe("degraded");
    expect(await registry.tryAcquire({ healthStatus: ["healthy"] })).toBeNull();
    clock.now += 15;
    expect(await registry.tryAcquire()).toBeNull();
    expect((await registry.tryAcquire({ healthStatus: ["unhealthy"] }))!.id).toBe(id);
    await registry.heartbeat(id);
    await registry.setDraining(id, true);
    expect(await registry.tryAcquire()).toBeNull();
    expect(await registry.acquire()).toBeNull();
    expect(await registry.discoverWorkers({ minAvailableCapacity: 1 })).toEqual([
      expect.objectContaining({ id, draining: true }),
    ]);
    await registry.setDraining(id, false);
    const worker = await registry.tryAcquire();
    expect(worker).not.toHaveProperty("draining");
  });

  test("a lease that is released gives its slots back once", async () => {
    const { registry, clock } = stage();
    const { id } = await registry.registerWorker(node("node-1", [], 5));
    const held = await registry.acquire({}, { count: 3, leaseMs: 1_000, owner: "me" });
    expect(held!.worker).toMatchObject({ id, currentTasks: 3 });
    expect(held!.expiresAt).toEqual(new Date(clock.now + 1_000));
    expect(await registry.acquire({}, { count: 3 })).toBeNull();
    expect(await registry.release(held!.token, { success: false, durationMs: 200 })).toBe(true);
    expect(await registry.release(held!.token, { success: false })).toBe(false);
    expect(await registry.getWorker(id)).toMatchObject({
      currentTasks: 0,
      metrics: { tasksCompleted: 0, tasksFailedCount: 1, averageTaskDuration: 200 },
    });
    for (const token of ["", "none", `${id}/none`, `none/${held!.token}`]) {
      expect(await registry.release(token)).toBe(false);
      await expect(registry.renew(token)).rejects.toMatchObject({ code: "RESERVATION_NOT_FOUND" });
    }
  });

  test("a lease that is over gives its slots back with the next acquire or cleanup", async () => {
    const { registry, clock } = stage();
    const { id } = await registry.registerWorker(node("node-1", [], 1));
    const first = await registry.acquire({}, { leaseMs: 1_000 });
    clock.now += 999;
    expect(await registry.acquire()).toBeNull();
    expect(await registry.renew(first!.token)).toEqual(new Date(clock.now + 1_000));
    clock.now += 999;
    expect(await registry.acquire()).toBeNull();
    expect(await registry.renew(first!.token, { leaseMs: 10 })).toEqual(new Date(clock.now + 10));
    clock.now += 10;
    const second = await registry.acquire({}, { leaseMs: 5 });
    expect(second!.worker.currentTasks).toBe(1);
    expect(await registry.release(first!.token)).toBe(false);
    clock.now += 5;
    await registry.cleanup();
    expect((await registry.getWorker(id))!.currentTasks).toBe(0);
    await expect(registry.renew(second!.token)).rejects.toMatchObject({ code: "RESERVATION_NOT_FOUND" });
  });

  test("a reservation is in the record, and survives its dispatcher", async () => {
    const { registry, memory, clock } = stage();
    const { id } = await registry.registerWorker(node("node-1"));
    const held = await registry.acquire({}, { leaseMs: 1_000, owner: "dispatcher-7" });
    const record = JSON.parse((await memory.get(`task-sentinel/workers/${id}`))!);
    expect(record.reservations).toEqual([
      {
        token: held!.token,
        count: 1,
        expiresAt: held!.expiresAt.toISOString(),
        leaseMs: 1_000,
        owner: "dispatcher-7",
      },
    ]);
    await registry.unregisterWorker(id);
    expect(await registry.release(held!.token)).toBe(false);
    clock.now += 2_000;
    expect(await registry.cleanup()).toEqual([]);
  });
});
