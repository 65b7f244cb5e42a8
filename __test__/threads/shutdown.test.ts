import { setImmediate as nextTurn } from "node:timers/promises";
import { act, Gate, manage, manageActions, nextEvent, rejection, shutdownAll } from "./harness";

afterEach(shutdownAll);

describe("shutdown", () => {
  test("cancels what waits, lets finish what runs, then ends all threads", async () => {
    const manager = manageActions();
    const gate = new Gate();
    const running = act(manager, "waitFor", { flag: gate.flag });
    await nextEvent(manager, "taskAssigned");
    const waiting = rejection(act(manager, "echo"));
    const events: string[] = [];
    for (const event of ["workerExited", "workerTerminated", "shutdown"] as const)
      manager.on(event, () => events.push(event));
    await nextTurn();
    const down = manager.shutdown();
    expect(await waiting).toMatchObject({ code: "MANAGER_SHUTDOWN", message: "Worker manager is shut down" });
    expect(manager.getTask("task-2")?.status).toBe("CANCELLED");
    gate.open(4);
    expect(await running).toBe(4);
    await down;
    expect(events).toEqual(["workerExited", "workerTerminated", "shutdown"]);
    expect(manager.getWorkerStatus()).toEqual([]);
    expect(manager.getMetrics()).toMatchObject({ totalWorkers: 0, completedTasks: 1, cancelledTasks: 1 });
  });

  test("runs the queue first with drain", async () => {
    const manager = manageActions();
    manager.pause();
    const results = [1, 2, 3].map(async (value) => act(manager, "echo", { value }));
    const flaky = act(manager, "failUntil", { attempt: 2 });
    await nextTurn();
    await manager.shutdown({ drain: true });
    expect(await Promise.all(results)).toEqual([1, 2, 3]);
    expect(await flaky).toBe(2);
    await nextTurn();
    expect(manager.getMetrics()).toMatchObject({ completedTasks: 4, retriedTasks: 1 });
  });

  test("ends running tasks at once with force, also a running shutdown", async () => {
    for (const first of [{ force: true }, {}]) {
      const manager = manageActions();
      const running = rejection(act(manager, "spin"));
      await nextEvent(manager, "taskAssigned");
      const down = manager.shutdown(first);
      void manager.shutdown({ force: true });
      await down;
      expect(await running).toMatchObject({ code: "MANAGER_SHUTDOWN" });
    }
  });

  test("ends running tasks after the timeout", async () => {
    const manager = manageActions({ shutdownTimeout: 40 });
    const running = rejection(act(manager, "spin"));
    await nextEvent(manager, "taskAssigned");
    const started = performance.now();
    await manager.shutdown();
    expect(performance.now() - started).toBeGreaterThanOrEqual(39);
    expect(await running).toMatchObject({ code: "MANAGER_SHUTDOWN" });
    const other = manageActions();
    const stuck = rejection(act(other, "spin"));
    await nextEvent(other, "taskAssigned");
    await other.shutdown({ timeout: 10 });
    expect(await stuck).toMatchObject({ code: "MANAGER_SHUTDOWN" });
  });

  test("repeats no task that fails meanwhile", async () => {
    const manager = manageActions({ maxRetries: 5, retryDelay: 60_000 });
    const gate = new Gate();
    const failing = rejection(act(manager, "waitAndFail", { flag: gate.flag }));
    await nextEvent(manager, "taskAssigned");
    const down = manager.shutdown();
    gate.open();
    expect((await failing).message).toBe("failed after the wait");
    await down;
  });

  test("refuses everything afterwards, and is one promise", async () => {
    const manager = manageActions({ queueFull: "wait", maxTaskQueueSize: 1 });
    manager.pause();
    await manager.submitTask("CUSTOM", { action: "echo" });
    const waitsForRoom = rejection(act(manager, "echo"));
    const shutdowns = jest.fn();
    manager.on("shutdown", shutdowns);
    const down = [manager.shutdown(), manager.shutdown({ drain: true }), manager[Symbol.asyncDispose]()];
    expect(await waitsForRoom).toMatchObject({ code: "MANAGER_SHUTDOWN" });
    await Promise.all(down);
    expect(shutdowns).toHaveBeenCalledTimes(1);
    for (const call of [
      manager.submitTask("CUSTOM", null),
      manager.run("CUSTOM", null),
      manager.scaleUp(),
      manager.scaleDown(),
      manager.updateConfig({}),
      manager.ready(),
    ])
      expect(await rejection(call)).toMatchObject({ code: "MANAGER_SHUTDOWN" });
    expect(await manager.cancelTask("task-1")).toBe(false);
    await manager.onIdle();
    await manager.performHealthChecks();
    manager.pause();
    manager.resume();
    await nextTurn();
    for (const value of Object.values(manager.getMetrics()))
      if (typeof value === "number") expect(Number.isFinite(value)).toBe(true);
  });

  test("refuses a wrong timeout, and goes on", async () => {
    const manager = manageActions();
    for (const timeout of [-1, NaN, "soon" as never])
      expect(await rejection(manager.shutdown({ timeout }))).toMatchObject({
        code: "VALIDATION_ERROR",
        field: "timeout",
      });
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
  });

  test("works right after construction", async () => {
    const manager = manage({ minWorkers: 2 });
    await manager.shutdown();
    expect(manager.getWorkerStatus()).toEqual([]);
  });
});
