import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { WorkerState, type WorkerInfo, type WorkerManager } from "../../threads.js";
import {
  act,
  Gate,
  manage,
  manageActions,
  nextEvent,
  rejection,
  script,
  shutdownAll,
  storedByThread,
} from "./harness";

afterEach(shutdownAll);

/** Starts so many tasks that wait at a gate, and waits until they run. */
async function occupy(
  manager: WorkerManager,
  count: number,
): Promise<{ gate: Gate; results: Promise<unknown[]> }> {
  const gate = new Gate();
  let running = 0;
  const allRun = nextEvent(manager, "taskAssigned", () => ++running === count);
  const results = Promise.all(
    Array.from({ length: count }, async () => act(manager, "waitFor", { flag: gate.flag })),
  );
  await allRun;
  return { gate, results };
}

describe("workers", () => {
  test("are started at construction, and announced when online", async () => {
    const manager = manageActions({ minWorkers: 2, maxWorkers: 2 });
    const created: string[] = [];
    manager.on("workerCreated", (worker) => created.push(worker.id));
    expect(manager.getWorkerStatus().map(({ id, state, online }) => [id, state, online])).toEqual([
      ["worker-1", "IDLE", false],
      ["worker-2", "IDLE", false],
    ]);
    await manager.ready();
    expect(created.sort()).toEqual(["worker-1", "worker-2"]);
    expect(manager.getWorkerStatus().every(({ online }) => online)).toBe(true);
  });

  test("show the six documented fields first", async () => {
    const manager = manageActions();
    await manager.ready();
    const [worker] = manager.getWorkerStatus() as [WorkerInfo];
    expect(Object.keys(worker).slice(0, 6)).toEqual([
      "id",
      "state",
      "currentTask",
      "tasksCompleted",
      "tasksFailed",
      "isHealthy",
    ]);
    expect(worker.threadId).toBeGreaterThan(0);
    expect(worker.memoryUsed).toBeGreaterThan(0);
  });

  test("see workerData, env and nothing of the manager's", async () => {
    const manager = manageActions({ workerData: { key: [1] }, env: { ONLY: "this" } });
    expect(await act(manager, "workerData")).toEqual({ key: [1] });
    expect(await act(manager, "env", { name: "ONLY" })).toBe("this");
    expect(await act(manager, "env", { name: "PATH" })).toBeUndefined();
    expect(await act(manageActions(), "workerData")).toBeNull();
  });
});

describe("a worker script", () => {
  test.each(["on", "addEventListener", "onmessage"])("may listen with %s", async (way) => {
    const manager = manage({
      minWorkers: 1,
      workerScriptPath: script("echo-script.cjs"),
      workerData: { way },
    });
    const options = { metadata: { user: "u" }, timeout: 5000, id: "mine" };
    expect(await manager.run("ANALYSIS", { a: 1 }, options)).toEqual({
      type: "task",
      taskId: "mine",
      payload: { a: 1 },
      taskType: "ANALYSIS",
      metadata: { user: "u" },
      attempt: 1,
      timeout: 5000,
      way,
    });
  });

  test("may be given by absolute path, relative path and URL, in every module form", async () => {
    const folder = mkdtempSync(join(tmpdir(), "threads-scripts-"));
    const body = `parentPort.on("message", ({ taskId, payload }) => parentPort.postMessage({ type: "result", taskId, payload: payload + 1 }));`;
    writeFileSync(join(folder, "cjs.cjs"), `const { parentPort } = require("worker_threads"); ${body}`);
    writeFileSync(join(folder, "typeless.js"), `import { parentPort } from "worker_threads"; ${body}`);
    writeFileSync(join(folder, "plain.js"), `const { parentPort } = require("worker_threads"); ${body}`);
    writeFileSync(join(folder, "esm.mjs"), `import { parentPort } from "node:worker_threads"; ${body}`);
    try {
      for (const name of ["cjs.cjs", "typeless.js", "plain.js", "esm.mjs"]) {
        const path = join(folder, name);
        for (const workerScriptPath of [
          path,
          relative(process.cwd(), path),
          pathToFileURL(path),
          pathToFileURL(path).href,
        ]) {
          const manager = manage({ minWorkers: 1, workerScriptPath });
          expect(await manager.run("CUSTOM", 1)).toBe(2);
          await manager.shutdown();
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("sees its workerData also as a named import", async () => {
    const manager = manage({
      minWorkers: 1,
      workerScriptPath: script("esm-script.mjs"),
      workerData: { n: 7 },
    });
    expect(await manager.run("CUSTOM", "x")).toEqual({ esm: true, payload: "x", workerData: { n: 7 } });
  });

  test("runs all types of tasks", async () => {
    const manager = manage({ minWorkers: 1, workerScriptPath: script("echo-script.cjs") });
    for (const type of ["DATA_PROCESSING", "COMPRESSION", "CUSTOM"] as const)
      expect(await manager.run(type, null)).toMatchObject({ taskType: type });
  });
});

describe("health checks", () => {
  test("ping idle workers, whatever their script knows", async () => {
    for (const config of [
      { handlers: { CUSTOM: script("actions.cjs") } },
      { workerScriptPath: script("seed/worker-custom.js") },
    ]) {
      const manager = manage({ minWorkers: 2, maxWorkers: 2, ...config });
      await manager.ready();
      const beats: string[] = [];
      manager.on("workerHeartbeat", (worker) => beats.push(worker.id));
      await manager.performHealthChecks();
      expect(beats.sort()).toEqual(["worker-1", "worker-2"]);
      for (const worker of manager.getWorkerStatus()) {
        expect(worker.lastHeartbeat).toBeGreaterThan(0);
        expect(worker.isHealthy).toBe(true);
      }
    }
  });

  test("may overlap", async () => {
    const manager = manageActions({ healthCheckTimeout: 300 });
    const errors = jest.fn();
    manager.on("workerError", errors);
    await manager.ready();
    await Promise.all([1, 2, 3].map(async () => manager.performHealthChecks()));
    expect(errors).not.toHaveBeenCalled();
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-1", isHealthy: true }]);
  });

  test("do not judge a busy worker", async () => {
    const manager = manageActions({ healthCheckTimeout: 20 });
    const errors = jest.fn();
    manager.on("workerError", errors);
    await manager.ready();
    const { gate, results } = await occupy(manager, 1);
    await manager.performHealthChecks();
    gate.open();
    expect(await results).toEqual([1]);
    expect(errors).not.toHaveBeenCalled();
  });

  test("replace an idle worker that does not answer", async () => {
    const manager = manage({
      minWorkers: 1,
      maxWorkers: 1,
      healthCheckTimeout: 50,
      handlers: { CUSTOM: script("hang-later.cjs") },
    });
    const hangs = await manager.run<Int32Array>("CUSTOM", { flag: new Gate().flag });
    await storedByThread(hangs);
    const failed = nextEvent(manager, "workerError");
    const ended = nextEvent(manager, "workerTerminated");
    const replaced = nextEvent(manager, "workerCreated");
    await manager.performHealthChecks();
    const [{ worker, error }] = await failed;
    expect(worker.id).toBe("worker-1");
    expect(error).toMatchObject({ code: "WORKER_HEALTH_FAILED", workerId: "worker-1" });
    expect((await ended)[0]).toMatchObject({
      id: "worker-1",
      state: WorkerState.TERMINATED,
      isHealthy: false,
    });
    expect((await replaced)[0].id).toBe("worker-2");
  });

  test("run every healthCheckInterval", async () => {
    const manager = manageActions({ healthCheckInterval: 20 });
    await nextEvent(manager, "workerHeartbeat");
    await nextEvent(manager, "workerHeartbeat");
    await manager.updateConfig({ enableHealthChecks: false });
    const beats = jest.fn();
    await manager.performHealthChecks();
    manager.on("workerHeartbeat", beats);
    const since = performance.now();
    while (performance.now() - since < 80) await nextTurn();
    expect(beats).not.toHaveBeenCalled();
  });
});

describe("a crash", () => {
  test.each([
    ["process.exit", "exit", "Worker worker-1 exited with code 3"],
    [
      "an error outside of the task",
      "throwLate",
      "Worker worker-1 crashed: thrown outside of the task (exit code 1)",
    ],
  ])("of a running task by %s fails it and replaces the worker", async (_name, action, message) => {
    const manager = manageActions({ maxRetries: 0 });
    const events: unknown[] = [];
    manager.on("workerError", ({ worker, error }) => events.push(["workerError", worker.id, error.message]));
    manager.on("workerExited", ({ worker, exitCode }) => events.push(["workerExited", worker.id, exitCode]));
    manager.on("workerTerminated", (worker) => events.push(["workerTerminated", worker.id, worker.state]));
    const error = await rejection(act(manager, action));
    expect(error.message).toBe(message);
    expect(error).toMatchObject({ code: "WORKER_CRASHED", workerId: "worker-1", taskId: "task-1" });
    expect(await act(manager, "echo", { value: "next" })).toBe("next");
    expect(events).toEqual([
      ["workerError", "worker-1", message],
      ["workerExited", "worker-1", action === "exit" ? 3 : 1],
      ["workerTerminated", "worker-1", "TERMINATED"],
    ]);
  });

  test("by running out of memory kills only that worker", async () => {
    const manager = manageActions({
      maxRetries: 0,
      minWorkers: 2,
      maxWorkers: 2,
      maxWorkerMemory: 24 * 1024 * 1024,
    });
    await manager.ready();
    const error = await rejection(act(manager, "allocate", {}, { timeout: 0 }));
    expect(error).toMatchObject({ code: "WORKER_CRASHED", cause: { code: "ERR_WORKER_OUT_OF_MEMORY" } });
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
  });

  test("is retried on another worker", async () => {
    const manager = manageActions({ maxRetries: 1 });
    const workers: string[] = [];
    manager.on("taskAssigned", ({ worker }) => workers.push(worker.id));
    expect(await rejection(act(manager, "exit"))).toMatchObject({ code: "WORKER_CRASHED" });
    expect(workers).toEqual(["worker-1", "worker-2"]);
  });
});

describe("a worker that cannot be created", () => {
  test("is reported with its index, and tried again", async () => {
    const manager = manage({
      minWorkers: 2,
      maxWorkers: 2,
      workerScriptPath: "./does/not/exist.js",
      maxCreationFailures: 4,
    });
    const indexes: (number | undefined)[] = [];
    const events: string[] = [];
    manager.on("workerExited", () => events.push("exited"));
    await new Promise<void>((resolve) => {
      manager.on("error", ({ type, error, index }) => {
        expect(type).toBe("worker_creation_failed");
        expect(error.message).toContain("does/not/exist.js");
        if (indexes.push(index) === 4) resolve();
      });
    });
    expect(indexes.sort()).toEqual([0, 0, 1, 1]);
    expect(events).toEqual([]);
  });

  test("fails pending tasks after maxCreationFailures, and ready()", async () => {
    const manager = manage({
      minWorkers: 1,
      maxWorkers: 1,
      workerScriptPath: script("throws-at-import.cjs"),
      maxCreationFailures: 2,
    });
    const failures: unknown[] = [];
    manager.on("error", ({ index }) => failures.push(index));
    const ready = rejection(manager.ready());
    const task = rejection(manager.run("CUSTOM", null));
    expect(await task).toMatchObject({ code: "WORKER_UNAVAILABLE", recoverable: true });
    expect(await ready).toMatchObject({ code: "WORKER_UNAVAILABLE" });
    expect(failures).toEqual([0, 0]);
    expect(manager.getMetrics()).toMatchObject({ failedTasks: 1, pendingTasks: 0 });
  });

  test("never loops without pause", async () => {
    const manager = manage({
      minWorkers: 1,
      maxWorkers: 1,
      workerScriptPath: script("exits-at-import.cjs"),
      maxCreationFailures: 100,
    });
    const times: number[] = [];
    await new Promise<void>((resolve) => {
      manager.on("error", () => {
        if (times.push(performance.now()) === 3) resolve();
      });
    });
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(99);
    expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(199);
  });
});

describe("scaling", () => {
  test("adds workers under load, by doubling, up to maxWorkers", async () => {
    const manager = manageActions({
      minWorkers: 1,
      maxWorkers: 4,
      scaleUpCooldown: 0,
      autoScaleInterval: 10,
    });
    const seen: unknown[] = [];
    manager.on("scaledUp", (event) => seen.push(event));
    await manager.ready();
    const { gate, results } = await occupy(manager, 4);
    expect(seen).toEqual([
      { workerCount: 2, previousCount: 1 },
      { workerCount: 4, previousCount: 2 },
    ]);
    expect(manager.getMetrics()).toMatchObject({ totalWorkers: 4, activeWorkers: 4 });
    gate.open();
    await results;
  });

  test("waits for the cooldown", async () => {
    const manager = manageActions({
      minWorkers: 1,
      maxWorkers: 4,
      scaleUpCooldown: 60_000,
      autoScaleInterval: 5,
    });
    await manager.ready();
    const { gate, results } = await occupy(manager, 2);
    const more = [1, 2].map(async () => act(manager, "echo"));
    const since = performance.now();
    while (performance.now() - since < 50) await nextTurn();
    expect(manager.getMetrics()).toMatchObject({ totalWorkers: 2, pendingTasks: 2 });
    gate.open();
    await Promise.all([results, ...more]);
  });

  test("ends idle workers above minWorkers, the longest idle first", async () => {
    const manager = manageActions({
      minWorkers: 1,
      maxWorkers: 3,
      workerIdleTimeout: 40,
      autoScaleInterval: 10,
    });
    await manager.ready();
    expect(await manager.scaleUp(2)).toBe(2);
    const downs: unknown[] = [];
    manager.on("scaledDown", (event) => downs.push(event));
    let ended = 0;
    await nextEvent(manager, "workerTerminated", () => ++ended === 2);
    expect(downs).toEqual([
      { workerCount: 2, previousCount: 3 },
      { workerCount: 1, previousCount: 2 },
    ]);
    expect(manager.getWorkerStatus()).toHaveLength(1);
  });

  test("ends workers of little use after scaleDownCooldown", async () => {
    const manager = manageActions({
      minWorkers: 1,
      maxWorkers: 2,
      scaleDownCooldown: 30,
      scaleDownThreshold: 0.5,
      autoScaleInterval: 10,
    });
    await manager.ready();
    await manager.scaleUp();
    const [event] = await nextEvent(manager, "scaledDown");
    expect(event).toEqual({ workerCount: 1, previousCount: 2 });
  });

  test("by hand stays within the limits", async () => {
    const manager = manageActions({ minWorkers: 1, maxWorkers: 3, enableAutoScaling: false });
    await manager.ready();
    expect(await manager.scaleUp(5)).toBe(2);
    expect(await manager.scaleUp()).toBe(0);
    expect(await manager.scaleDown(9)).toBe(2);
    expect(await manager.scaleDown()).toBe(0);
    expect(await rejection(manager.scaleUp(-1))).toMatchObject({ code: "VALIDATION_ERROR", field: "count" });
  });

  test.each([true, false])(
    "ends workers beyond a lowered maxWorkers, with enableAutoScaling %p",
    async (enableAutoScaling) => {
      const manager = manageActions({ minWorkers: 1, maxWorkers: 3, enableAutoScaling });
      await manager.ready();
      let online = 1;
      const allOnline = nextEvent(manager, "workerCreated", () => ++online === 3);
      await manager.scaleUp(2);
      await allOnline;
      let ended = 0;
      const allEnded = nextEvent(manager, "workerTerminated", () => ++ended === 2);
      await manager.updateConfig({ maxWorkers: 1, autoScaleInterval: 5 });
      await allEnded;
      expect(manager.getWorkerStatus()).toHaveLength(1);
    },
  );

  test("is off with enableAutoScaling false", async () => {
    const manager = manageActions({
      minWorkers: 1,
      maxWorkers: 4,
      enableAutoScaling: false,
      scaleUpCooldown: 0,
    });
    await manager.ready();
    const { gate, results } = await occupy(manager, 1);
    const more = act(manager, "echo");
    await nextTurn();
    expect(manager.getMetrics()).toMatchObject({ totalWorkers: 1, pendingTasks: 1 });
    gate.open();
    await Promise.all([results, more]);
  });

  test("starts a worker for a task though minWorkers is 0", async () => {
    for (const enableAutoScaling of [true, false]) {
      const manager = manageActions({ minWorkers: 0, maxWorkers: 1, enableAutoScaling });
      expect(manager.getWorkerStatus()).toEqual([]);
      expect(await act(manager, "echo", { value: 1 })).toBe(1);
    }
  });
});

describe("recycling", () => {
  test("waits for an empty queue after maxTasksPerWorker", async () => {
    const manager = manageActions({ maxTasksPerWorker: 3 });
    await manager.ready();
    const recycled: unknown[] = [];
    manager.on("workerRecycled", ({ worker, reason }) =>
      recycled.push([worker.id, reason, worker.tasksCompleted]),
    );
    const terminated = nextEvent(manager, "workerTerminated");
    manager.pause();
    const results = Array.from({ length: 5 }, async (_, value) => act(manager, "echo", { value }));
    manager.resume();
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3, 4]);
    expect((await terminated)[0].id).toBe("worker-1");
    expect(recycled).toEqual([["worker-1", "tasks", 5]]);
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
    expect(manager.getTask("task-6")?.workerId).toBe("worker-2");
  });

  test("happens in any case after workerRecycleThreshold", async () => {
    const manager = manageActions({ maxTasksPerWorker: 0, workerRecycleThreshold: 2 });
    const recycled: unknown[] = [];
    manager.on("workerRecycled", ({ worker, reason }) =>
      recycled.push([worker.id, reason, worker.tasksCompleted]),
    );
    await Promise.all(Array.from({ length: 5 }, async () => act(manager, "echo")));
    expect(recycled.slice(0, 2)).toEqual([
      ["worker-1", "tasks", 2],
      ["worker-2", "tasks", 2],
    ]);
  });

  test("never happens with 0", async () => {
    const manager = manageActions({ maxTasksPerWorker: 0, workerRecycleThreshold: 0 });
    for (let n = 0; n < 600; n++) await act(manager, "echo");
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-1", tasksCompleted: 600 }]);
  });

  test("follows a heap over maxWorkerMemory, after the task", async () => {
    const maxWorkerMemory = 16 * 1024 * 1024;
    const manager = manageActions({ maxWorkerMemory, resourceLimits: { maxOldGenerationSizeMb: 256 } });
    await act(manager, "grow", { megabytes: 40 });
    const recycled = nextEvent(manager, "workerRecycled");
    await manager.performHealthChecks();
    const [{ worker, reason }] = await recycled;
    expect([worker.id, reason]).toEqual(["worker-1", "memory"]);
    expect(worker.memoryUsed).toBeGreaterThan(maxWorkerMemory);
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
  });
});

test("a worker over maxWorkerMemory finishes its task, and no other task is harmed", async () => {
  const manager = manage({
    minWorkers: 1,
    maxWorkers: 1,
    maxRetries: 0,
    maxWorkerMemory: 16 * 1024 * 1024,
    resourceLimits: { maxOldGenerationSizeMb: 256 },
    workerScriptPath: script("growing-script.cjs"),
  });
  const reasons: string[] = [];
  manager.on("workerRecycled", ({ reason }) => reasons.push(reason));
  const gate = new Gate();
  const growing = manager.run("CUSTOM", { megabytes: 40, flag: gate.flag });
  const others = Array.from({ length: 50 }, async (_, n) => manager.run("CUSTOM", { n }));
  await nextEvent(manager, "workerHeartbeat");
  gate.open();
  expect(await growing).toBe(40);
  expect(await Promise.all(others)).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(reasons).toEqual(["memory"]);
  expect(manager.getMetrics()).toMatchObject({ failedTasks: 0, completedTasks: 51 });
});

describe("metrics", () => {
  test("are all 0 at first, and never NaN", () => {
    const manager = manage({ minWorkers: 0 });
    for (const value of Object.values(manager.getMetrics()).flatMap((v) =>
      typeof v === "object" ? Object.values(v) : [v],
    ))
      expect(value).toBe(0);
  });

  test("count what has happened", async () => {
    const manager = manageActions({ maxRetries: 0, minWorkers: 2, maxWorkers: 2 });
    await Promise.all([act(manager, "echo"), rejection(act(manager, "fail")), act(manager, "echo")]);
    const metrics = manager.getMetrics();
    expect(metrics).toMatchObject({
      totalWorkers: 2,
      idleWorkers: 2,
      activeWorkers: 0,
      completedTasks: 2,
      failedTasks: 1,
    });
    expect(metrics.averageTaskDuration).toBeGreaterThan(0);
    expect(metrics.averageQueueTime).toBeGreaterThan(0);
    expect(metrics.throughput).toBeGreaterThan(0);
    expect(metrics.cpuUtilization).toBeGreaterThanOrEqual(0);
    expect(metrics.cpuUtilization).toBeLessThanOrEqual(1);
    expect(metrics.memoryUtilization).toBeGreaterThan(0);
    expect(metrics.memoryUtilization).toBeLessThan(1);
    expect(metrics.duration.p50).toBeLessThanOrEqual(metrics.duration.p99);
    expect(metrics.duration.max).toBeGreaterThan(0);
  });

  test("are emitted every metricsInterval to those who listen", async () => {
    const manager = manageActions({ metricsInterval: 10 });
    const [metrics] = await nextEvent(manager, "metricsUpdated");
    expect(metrics.totalWorkers).toBe(1);
    const [again] = await nextEvent(manager, "metricsUpdated");
    expect(again.totalWorkers).toBe(1);
  });
});
