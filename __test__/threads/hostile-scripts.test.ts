import { manage, nextEvent, rejection, script, shutdownAll } from "./harness";
import type { WorkerManager } from "../../threads.js";

afterEach(shutdownAll);

function hostile(config = {}): WorkerManager {
  return manage({
    minWorkers: 1,
    maxWorkers: 1,
    maxRetries: 0,
    workerScriptPath: script("hostile-script.cjs"),
    ...config,
  });
}

describe("a script that", () => {
  test.each(["garbage", "foreign", "badProgress", "floodHeartbeats"])("%s harms no task", async (trick) => {
    const manager = hostile();
    const seen = jest.fn();
    manager.on("taskProgress", seen);
    expect(await manager.run("CUSTOM", { trick: "garbage" })).toBe("proper");
    expect(await manager.run("CUSTOM", { trick })).toBe("proper");
    expect(await manager.run("CUSTOM", { trick })).toBe("proper");
    expect(seen).not.toHaveBeenCalled();
    expect(manager.getMetrics()).toMatchObject({ completedTasks: 3, failedTasks: 0 });
  });

  test("answers twice is heard once", async () => {
    const manager = hostile();
    const callback = jest.fn();
    const id = await manager.submitTask("CUSTOM", { trick: "twice" }, callback);
    expect(await manager.run("CUSTOM", { trick: "garbage" })).toBe("proper");
    expect(callback.mock.calls).toEqual([[null, "first"]]);
    expect(manager.getTask(id)?.result).toBe("first");
  });

  test("floods progress delays nothing, and its last value arrives", async () => {
    const manager = hostile();
    const values: number[] = [];
    manager.on("taskProgress", ({ progress }) => values.push(progress));
    expect(await manager.run("CUSTOM", { trick: "floodProgress" })).toBe("proper");
    expect(values.at(-1)).toBe(99_999);
    expect(values.length).toBeLessThan(100_000);
  });

  test("closes its port ends its thread, which is replaced", async () => {
    const manager = hostile();
    const exited = nextEvent(manager, "workerExited");
    expect(await manager.run("CUSTOM", { trick: "closePort" })).toBe("proper");
    expect((await exited)[0]).toMatchObject({ exitCode: 0, worker: { id: "worker-1" } });
    expect(await manager.run("CUSTOM", { trick: "garbage" })).toBe("proper");
  });

  test("never answers runs into the timeout", async () => {
    const manager = hostile({ taskTimeout: 60 });
    expect(await rejection(manager.run("CUSTOM", { trick: "silent" }))).toMatchObject({
      code: "TASK_TIMEOUT",
    });
    expect(await manager.run("CUSTOM", { trick: "garbage" })).toBe("proper");
  });

  test("sends heartbeats makes them events, but not for each", async () => {
    const manager = hostile();
    const beat = nextEvent(manager, "workerHeartbeat");
    await manager.run("CUSTOM", { trick: "floodHeartbeats" });
    expect((await beat)[0].id).toBe("worker-1");
  });

  test("never comes online holds back nobody who gives up", async () => {
    const manager = manage({ minWorkers: 1, maxWorkers: 1, workerScriptPath: script("never-online.mjs") });
    const result = manager.run("CUSTOM", null);
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await rejection(result)).toMatchObject({ code: "TASK_CANCELLED" });
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-1", online: false }]);
    const ready = rejection(manager.ready());
    await manager.shutdown();
    expect(await ready).toMatchObject({ code: "MANAGER_SHUTDOWN" });
  });
});
