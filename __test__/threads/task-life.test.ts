import { setImmediate as nextTurn } from "node:timers/promises";
import { TaskPriority, TaskStatus, WorkerTaskType, type WorkerTask } from "../../threads.js";
import {
  act,
  Gate,
  manage,
  manageActions,
  nextEvent,
  recordTaskEvents,
  rejection,
  script,
  shutdownAll,
  storedByThread,
} from "./harness";

afterEach(shutdownAll);

describe("a task's life", () => {
  test("resolves with the id once queued, then calls back with the result", async () => {
    const manager = manageActions();
    const outcome = new Promise((resolve) => {
      void manager.submitTask("CUSTOM", { action: "echo", value: { n: 1 } }, (error, result) => {
        resolve([error, result]);
      });
    });
    expect(await outcome).toEqual([null, { n: 1 }]);
    expect(await manager.submitTask("CUSTOM", { action: "echo" }, null)).toBe("task-2");
  });

  test("goes through its states, with times in order", async () => {
    const manager = manageActions();
    const statuses: string[] = [];
    for (const event of ["taskAssigned", "taskCompleted"] as const)
      manager.on(event, ({ task }) => statuses.push(task.status));
    manager.on("taskSubmitted", (task) => statuses.push(task.status));
    const id = await manager.submitTask("CUSTOM", { action: "echo", value: 7 }, () => {
      statuses.push("callback");
    });
    await manager.waitForTask(id);
    await nextTurn();
    expect(statuses).toEqual(["PENDING", "ASSIGNED", "callback", "COMPLETED"]);
    const task = manager.getTask(id) as WorkerTask;
    expect(task).toMatchObject({
      id,
      type: "CUSTOM",
      status: "COMPLETED",
      result: 7,
      retryCount: 0,
      workerId: "worker-1",
    });
    expect(task.createdAt).toBeLessThanOrEqual(task.assignedAt);
    expect(task.assignedAt).toBeLessThanOrEqual(task.startedAt);
    expect(task.startedAt).toBeLessThanOrEqual(task.completedAt);
    expect(Math.abs(task.completedAt - Date.now())).toBeLessThan(10_000);
    expect(Number.isInteger(task.completedAt)).toBe(true);
  });

  test("shows as running, on a busy worker, while it runs", async () => {
    const manager = manageActions();
    const flags = new Int32Array(new SharedArrayBuffer(8));
    const result = act(manager, "started", { flags });
    await nextEvent(manager, "taskAssigned");
    await storedByThread(flags);
    const task = manager.getTask("task-1") as WorkerTask;
    expect(task.status).toBe(TaskStatus.RUNNING);
    expect(manager.getWorkerStatus()[0]).toMatchObject({
      id: "worker-1",
      state: "BUSY",
      currentTask: "task-1",
    });
    expect(manager.getMetrics()).toMatchObject({ runningTasks: 1, activeWorkers: 1, idleWorkers: 0 });
    Atomics.store(flags, 1, 1);
    Atomics.notify(flags, 1);
    expect(await result).toBe("done");
    expect(manager.getWorkerStatus()[0]).toMatchObject({
      state: "IDLE",
      currentTask: null,
      tasksCompleted: 1,
    });
  });

  test("emits submitted before the promise resolves, and assigned after", async () => {
    const manager = manageActions();
    const seen = recordTaskEvents(manager);
    const id = await manager.submitTask("CUSTOM", { action: "echo" });
    expect(seen).toEqual(["taskSubmitted task-1"]);
    await manager.waitForTask(id);
    await nextTurn();
    expect(seen).toEqual(["taskSubmitted task-1", "taskAssigned task-1", "taskCompleted task-1"]);
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "text with \u{1f600} and a lone \ud800"],
    ["a number", -0],
    ["NaN", NaN],
    ["a bigint", 2n ** 70n],
    ["a Date", new Date(0)],
    ["a Map", new Map([["a", { b: 1 }]])],
    ["a Set", new Set([1, 2])],
    ["bytes", Uint8Array.of(1, 2, 3)],
    ["an array with a hole", Object.assign([1], { 2: 3 })],
    ["an object with undefined", { a: undefined, b: 1 }],
    ["nested objects", { a: [{ b: { c: [null, true, "x", 1.5] } }] }],
    [
      "a large object",
      Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`key${n}`, { n, text: "x".repeat(n % 40) }])),
    ],
    ["an error", new RangeError("out")],
    ["a key __proto__", JSON.parse('{"__proto__": 1, "b": 2}')],
  ])("carries %s as structuredClone would", async (_name, value) => {
    const manager = manageActions();
    expect(await act(manager, "echo", { value })).toEqual(structuredClone(value));
  });

  test("keeps one object in two places one object", async () => {
    const manager = manageActions();
    const shared = { n: 1 };
    const result = await act<[object, object]>(manager, "echo", { value: [shared, shared] });
    expect(result[0]).toBe(result[1]);
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const copy = await act<{ self: unknown }>(manager, "echo", { value: cycle });
    expect(copy.self).toBe(copy);
  });

  test("carries shared memory, which cannot be written down", async () => {
    const manager = manageActions();
    const flag = new Int32Array(new SharedArrayBuffer(4));
    const { flag: back } = await act<{ flag: Int32Array }>(manager, "shared", { flag });
    Atomics.store(back, 0, 9);
    expect(Atomics.load(flag, 0)).toBe(9);
  });

  test("moves a transfer list there and back", async () => {
    const manager = manageActions();
    const buffer = new ArrayBuffer(1024);
    const result = await act(manager, "echo", { value: buffer }, { transferList: [buffer] });
    expect(buffer.byteLength).toBe(0);
    expect((result as ArrayBuffer).byteLength).toBe(1024);
    const { buffer: made } = await act<{ buffer: ArrayBuffer }>(manager, "transferBack", { bytes: 4096 });
    expect(made.byteLength).toBe(4096);
  });

  test("has one attempt only if objects were moved", async () => {
    const manager = manageActions();
    const buffer = new ArrayBuffer(8);
    await rejection(act(manager, "fail", { buffer }, { transferList: [buffer], maxRetries: 3 }));
    expect(manager.getTask("task-1")).toMatchObject({ status: "FAILED", retryCount: 0, maxRetries: 0 });
  });

  test("fails when its result cannot be sent", async () => {
    const manager = manageActions({ maxRetries: 0 });
    expect(await rejection(act(manager, "unsendable"))).toMatchObject({ name: "DataCloneError" });
    expect(await act(manager, "echo", { value: "still there" })).toBe("still there");
  });

  test("keeps the worker's error and adds both ids", async () => {
    const manager = manageActions({ maxRetries: 0 });
    const error = await rejection(
      act(manager, "fail", { message: "no", name: "QuotaError", code: "EQUOTA" }),
    );
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      message: "no",
      name: "QuotaError",
      code: "EQUOTA",
      taskId: "task-1",
      workerId: "worker-1",
    });
    expect(error.stack).toContain("actions.cjs");
    expect(manager.getTask("task-1")?.error).toBe(error);
  });

  test.each([undefined, null, "text", 7, {}, Symbol("s").toString(), { message: 5 }])(
    "takes whatever a task rejects with: %p",
    async (value) => {
      const manager = manageActions({ maxRetries: 0 });
      expect(await rejection(act(manager, "reject", { value }))).toBeInstanceOf(Error);
    },
  );

  test("hands the context to the handler", async () => {
    const manager = manageActions();
    expect(await act(manager, "context", {}, { id: "mine", metadata: { user: "u" } })).toEqual({
      taskId: "mine",
      taskType: "CUSTOM",
      metadata: { user: "u" },
      attempt: 1,
      dependencyResults: undefined,
    });
  });

  test("reports progress in order, the last value always", async () => {
    const manager = manageActions();
    const flags = new Int32Array(new SharedArrayBuffer(12));
    const seen: number[] = [];
    manager.on("taskProgress", ({ task, worker, progress }) => {
      expect([task.id, worker.id, task.progress]).toEqual(["task-1", "worker-1", progress]);
      Atomics.store(flags, seen.push(progress) - 1, 1);
      Atomics.notify(flags, seen.length - 1);
    });
    expect(await act(manager, "slowProgress", { flags, values: [10, 55.5, 100] })).toBe("done");
    expect(seen).toEqual([10, 55.5, 100]);
    manager.removeAllListeners("taskProgress");
    const last: number[] = [];
    manager.on("taskProgress", ({ progress }) => last.push(progress));
    await act(manager, "progress", { values: Array.from({ length: 1000 }, (_, n) => n) });
    expect(last.at(-1)).toBe(999);
    expect(last).toEqual([...last].sort((a, b) => a - b));
  });

  test("reports no progress after its end, least of all for a later task", async () => {
    const manager = manageActions();
    const seen: unknown[] = [];
    manager.on("taskProgress", ({ task, progress }) => seen.push([task.id, progress]));
    await act(manager, "lateProgress");
    // The place of the first task on the native side is used again by one of these.
    for (let count = 0; count < 4; count++) expect(await act(manager, "turns", { turns: 5 })).toBe(5);
    expect(seen).toEqual([]);
  });

  test("is forgotten when payloads and results take too much memory", async () => {
    const manager = manageActions();
    const value = "x".repeat(24 * 1024 * 1024);
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) {
      ids.push(await manager.submitTask("CUSTOM", { action: "length", value }));
      await manager.onIdle();
    }
    expect(ids.map((id) => manager.getTask(id)?.result)).toEqual([undefined, value.length, value.length]);
  });

  test("is known to waitForTask before and after its end", async () => {
    const manager = manageActions({ maxRetries: 0 });
    const id = await manager.submitTask("CUSTOM", { action: "echo", value: 5 });
    expect(await Promise.all([manager.waitForTask(id), manager.waitForTask(id)])).toEqual([5, 5]);
    expect(await manager.waitForTask(id)).toBe(5);
    const failing = await manager.submitTask("CUSTOM", { action: "fail" });
    expect((await rejection(manager.waitForTask(failing))).message).toBe("failed on purpose");
    expect((await rejection(manager.waitForTask(failing))).message).toBe("failed on purpose");
    expect(await rejection(manager.waitForTask("nope"))).toMatchObject({
      code: "UNKNOWN_TASK",
      taskId: "nope",
    });
  });

  test("is forgotten after historySize others", async () => {
    const manager = manageActions({ historySize: 2 });
    for (let value = 0; value < 4; value++) await act(manager, "echo", { value });
    expect(["task-1", "task-2", "task-3", "task-4"].map((id) => manager.getTask(id)?.result)).toEqual([
      undefined,
      undefined,
      2,
      3,
    ]);
  });
});

describe("priorities", () => {
  async function orderOf(config: object, priorities: (TaskPriority | "low" | "high")[]): Promise<unknown[]> {
    const manager = manageActions(config);
    const order: unknown[] = [];
    await manager.ready();
    await Promise.all(
      priorities.map(async (priority, index) =>
        act(manager, "echo", { value: index }, { priority }).then((value) => order.push(value)),
      ),
    );
    return order;
  }

  test("run the most urgent first, in order of submission within one", async () => {
    const { LOW, NORMAL, HIGH, CRITICAL } = TaskPriority;
    expect(await orderOf({}, [LOW, NORMAL, HIGH, CRITICAL, NORMAL, CRITICAL, "high", "low"])).toEqual([
      3, 5, 2, 6, 1, 4, 0, 7,
    ]);
  });

  test("run the newest first with queueOrder lifo", async () => {
    const { NORMAL, HIGH } = TaskPriority;
    expect(await orderOf({ queueOrder: "lifo" }, [NORMAL, NORMAL, HIGH, HIGH])).toEqual([3, 2, 1, 0]);
  });

  test("are lifted by waiting", async () => {
    const manager = manageActions({ priorityAging: 1 });
    await manager.ready();
    const gate = new Gate();
    const order: string[] = [];
    const blocker = act(manager, "waitFor", { flag: gate.flag });
    const old = act(manager, "echo", {}, { priority: "low" }).then(() => order.push("low"));
    await nextEvent(manager, "taskAssigned");
    // Ten milliseconds of waiting lift a task by more levels than there are.
    const since = performance.now();
    while (performance.now() - since < 10) await nextTurn();
    const fresh = act(manager, "echo", {}, { priority: "critical" }).then(() => order.push("critical"));
    gate.open();
    await Promise.all([blocker, old, fresh]);
    expect(order).toEqual(["low", "critical"]);
  });
});

describe("dependencies", () => {
  test("run first, whatever the priority", async () => {
    const manager = manageActions({ maxWorkers: 2, minWorkers: 2 });
    const order: string[] = [];
    manager.on("taskCompleted", ({ task }) => order.push(task.id));
    const first = await manager.submitTask("CUSTOM", { action: "echo" }, null, { priority: "low" });
    const second = await manager.submitTask("CUSTOM", { action: "echo" }, null, {
      priority: "critical",
      dependencies: [first],
    });
    const third = await manager.submitTask("CUSTOM", { action: "echo" }, null, {
      priority: "critical",
      dependencies: [first, second],
    });
    await manager.waitForTask(third);
    await nextTurn();
    expect(order).toEqual([first, second, third]);
  });

  test("count as blocked and pending while they wait", async () => {
    const manager = manageActions();
    const gate = new Gate();
    const first = await manager.submitTask("CUSTOM", { action: "waitFor", flag: gate.flag });
    await manager.submitTask("CUSTOM", { action: "echo" }, null, { dependencies: [first] });
    await nextEvent(manager, "taskAssigned");
    expect(manager.getMetrics()).toMatchObject({ pendingTasks: 1, blockedTasks: 1, queueSize: 1 });
    gate.open();
    await manager.onIdle();
    expect(manager.getMetrics()).toMatchObject({ pendingTasks: 0, blockedTasks: 0, completedTasks: 2 });
  });

  test("hand on their results when asked", async () => {
    const manager = manageActions();
    const a = await manager.submitTask("CUSTOM", { action: "echo", value: [1] });
    const b = await manager.submitTask("CUSTOM", { action: "echo", value: new Map([[1, 2]]) });
    const context = await act<{ dependencyResults: unknown }>(
      manager,
      "context",
      {},
      { dependencies: [a, b], passDependencyResults: true },
    );
    expect(context.dependencyResults).toEqual({ [a]: [1], [b]: new Map([[1, 2]]) });
    const merged = await manager.run(
      "COMPUTATION",
      { computation: "merge_results" },
      { dependencies: [a], passDependencyResults: true },
    );
    expect(merged).toEqual({ computation: "merge_results", result: { results: [[1]], count: 1 } });
  });

  test("that are done already are met at once; others fail at once", async () => {
    const manager = manageActions({ maxRetries: 0 });
    const good = await manager.submitTask("CUSTOM", { action: "echo" });
    const bad = await manager.submitTask("CUSTOM", { action: "fail" });
    await manager.onIdle();
    expect(await act(manager, "echo", { value: 1 }, { dependencies: [good, good] })).toBe(1);
    expect(await rejection(act(manager, "echo", {}, { dependencies: [good, bad] }))).toMatchObject({
      code: "DEPENDENCY_FAILED",
      message: `Dependency ${bad} FAILED`,
    });
  });

  test("that fail take all dependents with them, without retries", async () => {
    const manager = manageActions({ maxRetries: 0 });
    const events: unknown[] = [];
    manager.on("taskFailed", ({ task, worker }) => events.push([task.id, worker.id, task.retryCount]));
    const a = await manager.submitTask("CUSTOM", { action: "fail" });
    const b = await manager.submitTask("CUSTOM", { action: "echo" }, null, {
      dependencies: [a],
      maxRetries: 5,
    });
    const c = await manager.submitTask("CUSTOM", { action: "echo" }, null, { dependencies: [b] });
    const d = await manager.submitTask("CUSTOM", { action: "echo" });
    await manager.onIdle();
    expect(events).toEqual([
      [a, "worker-1", 0],
      [b, "none", 0],
      [c, "none", 0],
    ]);
    expect(manager.getTask(c)?.error).toMatchObject({
      code: "DEPENDENCY_FAILED",
      message: `Dependency ${b} FAILED`,
    });
    expect(manager.getTask(d)?.status).toBe("COMPLETED");
    expect(manager.getMetrics()).toMatchObject({
      failedTasks: 3,
      completedTasks: 1,
      blockedTasks: 0,
      pendingTasks: 0,
    });
  });

  test("are known to their dependents though the history forgets them", async () => {
    const manager = manageActions({ historySize: 0, maxRetries: 0 });
    const gate = new Gate();
    const a = await manager.submitTask("CUSTOM", { action: "echo", value: "kept" });
    const b = await manager.submitTask("CUSTOM", { action: "waitFor", flag: gate.flag });
    const context = act<{ dependencyResults: unknown }>(
      manager,
      "context",
      {},
      { dependencies: [a, b], passDependencyResults: true },
    );
    const bad = await manager.submitTask("CUSTOM", { action: "fail" });
    const dependent = rejection(act(manager, "echo", {}, { dependencies: [bad] }));
    await nextEvent(manager, "taskAssigned", ({ task }) => task.id === b);
    expect(manager.getTask(a)).toBeUndefined();
    gate.open(7);
    expect((await context).dependencyResults).toEqual({ [a]: "kept", [b]: 7 });
    expect(await dependent).toMatchObject({ code: "DEPENDENCY_FAILED", message: `Dependency ${bad} FAILED` });
  });

  test("may fail with onDependencyFailure run", async () => {
    const manager = manageActions({ maxRetries: 0, onDependencyFailure: "run" });
    const bad = await manager.submitTask("CUSTOM", { action: "fail" });
    expect(await act(manager, "echo", { value: 2 }, { dependencies: [bad] })).toBe(2);
    expect(await act(manager, "echo", { value: 3 }, { dependencies: [bad] })).toBe(3);
  });

  test("that were cancelled fail their dependents", async () => {
    const manager = manageActions();
    manager.pause();
    const a = await manager.submitTask("CUSTOM", { action: "echo" });
    const b = manager.run("CUSTOM", { action: "echo" }, { dependencies: [a] });
    expect(await manager.cancelTask(a)).toBe(true);
    expect(await rejection(b)).toMatchObject({
      code: "DEPENDENCY_FAILED",
      message: `Dependency ${a} CANCELLED`,
    });
  });
});

describe("retries", () => {
  test("follow an error, up to maxRetries, then the error is final", async () => {
    const manager = manageActions({ maxRetries: 2 });
    const retries: unknown[] = [];
    manager.on("taskRetry", ({ task, worker, error, attempt, delay }) =>
      retries.push([task.id, worker?.id, error.message, attempt, delay, task.status]),
    );
    expect(await act(manager, "failUntil", { attempt: 3 })).toBe(3);
    expect(retries).toEqual([
      ["task-1", "worker-1", "attempt 1", 1, 1, "PENDING"],
      ["task-1", "worker-1", "attempt 2", 2, 2, "PENDING"],
    ]);
    expect((await rejection(act(manager, "failUntil", { attempt: 4 }))).message).toBe("attempt 3");
    expect(manager.getTask("task-2")).toMatchObject({ status: "FAILED", retryCount: 2 });
    expect(manager.getMetrics()).toMatchObject({ retriedTasks: 4, failedTasks: 1, completedTasks: 1 });
    expect(manager.getWorkerStatus()[0]).toMatchObject({ tasksFailed: 5, tasksCompleted: 1 });
  });

  test("wait twice as long each time, up to maxRetryDelay", async () => {
    const manager = manageActions({ maxRetries: 4, retryDelay: 2, maxRetryDelay: 7 });
    const delays: number[] = [];
    manager.on("taskRetry", ({ delay }) => delays.push(delay));
    await rejection(act(manager, "fail"));
    expect(delays).toEqual([2, 4, 7, 7]);
  });

  test("vary by the jitter", async () => {
    const manager = manageActions({ maxRetries: 8, retryDelay: 8, maxRetryDelay: 8, retryJitter: 0.5 });
    const delays: number[] = [];
    manager.on("taskRetry", ({ delay }) => delays.push(delay));
    await rejection(act(manager, "fail"));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(4);
    expect(Math.max(...delays)).toBeLessThanOrEqual(12);
    expect(new Set(delays).size).toBeGreaterThan(1);
  });

  test.each([
    ["error", "fail", "failed on purpose"],
    ["crash", "exit", "exited with code 3"],
    ["timeout", "spin", "timed out"],
  ])("do not follow what retryOn leaves out: %s", async (kind, action, message) => {
    const manager = manageActions({ retryOn: { [kind]: false }, taskTimeout: 200 });
    expect((await rejection(act(manager, action))).message).toContain(message);
    expect(manager.getMetrics().retriedTasks).toBe(0);
  });

  test("go behind the others of their priority", async () => {
    const manager = manageActions({ maxRetries: 1 });
    const order: string[] = [];
    manager.on("taskAssigned", ({ task }) => order.push(task.id));
    await manager.ready();
    const gate = new Gate();
    const flaky = act(manager, "failUntil", { attempt: 2 });
    const blocker = act(manager, "waitFor", { flag: gate.flag });
    const other = act(manager, "echo");
    const [{ delay }] = await nextEvent(manager, "taskRetry");
    const since = performance.now();
    while (performance.now() - since < delay + 5) await nextTurn();
    gate.open();
    await Promise.all([flaky, blocker, other]);
    expect(order).toEqual(["task-1", "task-2", "task-3", "task-1"]);
  });
});

describe("timeouts", () => {
  test.each(["spin", "regex", "atomicsWait", "never"])("end a task that does not end: %s", async (action) => {
    const manager = manageActions({ maxRetries: 0 });
    await manager.ready();
    const started = performance.now();
    const error = await rejection(act(manager, action, {}, { timeout: 100 }));
    const took = performance.now() - started;
    expect(error).toMatchObject({
      code: "TASK_TIMEOUT",
      taskId: "task-1",
      workerId: "worker-1",
      recoverable: true,
    });
    expect(took).toBeGreaterThanOrEqual(99);
    expect(took).toBeLessThan(5000);
    expect(manager.getTask("task-1")?.status).toBe(TaskStatus.TIMEOUT);
    expect(await act(manager, "echo", { value: "next" })).toBe("next");
    expect(manager.getMetrics()).toMatchObject({ timedOutTasks: 1, failedTasks: 1, completedTasks: 1 });
  });

  test("settle on time though the thread cannot be interrupted", async () => {
    const manager = manage({
      minWorkers: 1,
      maxWorkers: 1,
      maxRetries: 0,
      handlers: { CUSTOM: script("uninterruptible.cjs") },
    });
    await manager.ready();
    const started = performance.now();
    expect(await rejection(manager.run("CUSTOM", { action: "sleep" }, { timeout: 50 }))).toMatchObject({
      code: "TASK_TIMEOUT",
    });
    expect(performance.now() - started).toBeLessThan(900);
    const [old] = manager.getWorkerStatus();
    expect(old).toMatchObject({ id: "worker-1", state: "TERMINATING" });
    // The replacement serves while the old thread still sleeps.
    expect(await manager.run("CUSTOM", { action: "ping" })).toBe("pong");
    expect(old?.state).toBe("TERMINATING");
  });

  test("count from the start of an attempt, not from the submission", async () => {
    const manager = manageActions({ maxRetries: 0 });
    const gate = new Gate();
    const blocker = act(manager, "waitFor", { flag: gate.flag }, { timeout: 0 });
    const waiting = act(manager, "echo", { value: "in time" }, { timeout: 60 });
    await nextEvent(manager, "taskAssigned");
    const since = performance.now();
    while (performance.now() - since < 120) await nextTurn();
    gate.open();
    expect(await blocker).toBe(1);
    expect(await waiting).toBe("in time");
  });

  test("are retried, with an event for each attempt", async () => {
    const manager = manageActions({ maxRetries: 1, taskTimeout: 60 });
    const seen = recordTaskEvents(manager);
    expect(await rejection(act(manager, "never"))).toMatchObject({ code: "TASK_TIMEOUT" });
    await nextTurn();
    expect(seen).toEqual([
      "taskSubmitted task-1",
      "taskAssigned task-1",
      "taskTimeout task-1",
      "taskRetry task-1",
      "taskAssigned task-1",
      "taskTimeout task-1",
      "taskFailed task-1",
    ]);
  });

  test.each([0, Infinity])("are off with %p", async (timeout) => {
    const manager = manageActions({ taskTimeout: 30 });
    const gate = new Gate();
    const result = act(manager, "waitFor", { flag: gate.flag }, { timeout });
    await nextEvent(manager, "taskAssigned");
    const since = performance.now();
    while (performance.now() - since < 90) await nextTurn();
    gate.open(5);
    expect(await result).toBe(5);
  });
});

describe("cancellation", () => {
  test("removes a task that waits", async () => {
    const manager = manageActions();
    manager.pause();
    const seen = recordTaskEvents(manager);
    const result = manager.run("CUSTOM", { action: "echo" });
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await rejection(result)).toMatchObject({ code: "TASK_CANCELLED", taskId: "task-1" });
    expect(seen).toEqual(["taskSubmitted task-1", "taskCancelled task-1"]);
    expect(manager.getMetrics()).toMatchObject({ cancelledTasks: 1, pendingTasks: 0, failedTasks: 0 });
    expect(await manager.cancelTask("task-1")).toBe(false);
  });

  test("ends the thread of a task that runs", async () => {
    const manager = manageActions();
    const result = act(manager, "spin");
    await nextEvent(manager, "taskAssigned");
    const exited = nextEvent(manager, "workerExited");
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await rejection(result)).toMatchObject({ code: "TASK_CANCELLED", workerId: "worker-1" });
    expect(manager.getTask("task-1")?.status).toBe("CANCELLED");
    const [{ worker }] = await exited;
    expect(worker.id).toBe("worker-1");
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
  });

  test("gives the task time to end by itself", async () => {
    const manager = manageActions({ cancelGracePeriod: 10_000 });
    const result = act(manager, "untilAborted");
    await nextEvent(manager, "taskAssigned");
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await rejection(result)).toMatchObject({ code: "TASK_CANCELLED" });
    expect(await act(manager, "thread")).toBe(manager.getWorkerStatus()[0]?.threadId);
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-1", state: "IDLE" }]);
  });

  test("ends the thread of a task that times out in its time of grace", async () => {
    const manager = manageActions({ cancelGracePeriod: 60_000 });
    const result = rejection(act(manager, "spin", {}, { timeout: 60 }));
    await nextEvent(manager, "taskAssigned");
    const exited = nextEvent(manager, "workerExited");
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await result).toMatchObject({ code: "TASK_CANCELLED" });
    expect((await exited)[0].worker.id).toBe("worker-1");
    expect(await act(manager, "echo", { value: "next" })).toBe("next");
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-2", state: "IDLE" }]);
  });

  test("comes too late when the task completes in its time of grace", async () => {
    const manager = manageActions({ cancelGracePeriod: 10_000 });
    const result = act(manager, "resultOnAbort");
    await nextEvent(manager, "taskAssigned");
    expect(await manager.cancelTask("task-1")).toBe(false);
    expect(await result).toBe("made it");
  });

  test("ends the thread after the time of grace", async () => {
    const manager = manageActions({ cancelGracePeriod: 30 });
    const result = act(manager, "never");
    await nextEvent(manager, "taskAssigned");
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await rejection(result)).toMatchObject({ code: "TASK_CANCELLED" });
  });

  test("follows an AbortSignal, and keeps its reason", async () => {
    const manager = manageActions();
    const controller = new AbortController();
    const running = act(manager, "never", {}, { signal: controller.signal });
    await nextEvent(manager, "taskAssigned");
    const waiting = act(manager, "echo", {}, { signal: controller.signal });
    await nextTurn();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejection(running)).toMatchObject({ code: "TASK_CANCELLED", cause: reason });
    expect(await rejection(waiting)).toMatchObject({ code: "TASK_CANCELLED", cause: reason });
    expect(await rejection(act(manager, "echo", {}, { signal: controller.signal }))).toMatchObject({
      code: "TASK_CANCELLED",
      cause: reason,
    });
    expect(manager.getMetrics()).toMatchObject({ cancelledTasks: 2 });
  });

  test("leaves no listener on the signal", async () => {
    const manager = manageActions();
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
    await act(manager, "echo", {}, { signal });
    expect(listeners).toBe(0);
  });

  test("knows nothing of an unknown task", async () => {
    expect(await manageActions().cancelTask("nope")).toBe(false);
  });

  test("of all running tasks leaves no fresh idle threads behind", async () => {
    const manager = manageActions({ minWorkers: 0, maxWorkers: 2, scaleUpCooldown: 0 });
    const controller = new AbortController();
    const tasks = [1, 2].map(async () => rejection(act(manager, "never", {}, { signal: controller.signal })));
    let assigned = 0;
    await nextEvent(manager, "taskAssigned", () => ++assigned === 2);
    let ended = 0;
    const allEnded = nextEvent(manager, "workerTerminated", () => ++ended === 2);
    controller.abort();
    await Promise.all(tasks);
    await allEnded;
    await nextTurn();
    expect(manager.getWorkerStatus()).toEqual([]);
  });
});

test("WorkerTaskType is accepted in any case", async () => {
  const manager = manageActions();
  for (const type of [WorkerTaskType.CUSTOM, "CUSTOM", "custom", "Custom"])
    expect(await manager.run(type as "CUSTOM", { action: "echo", value: 1 })).toBe(1);
});
