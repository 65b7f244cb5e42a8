import {
  createWorkerManager,
  OrchestrationError,
  TaskPriority,
  ValidationError,
  WorkerError,
  WorkerManager,
  type TaskOptions,
  type WorkerManagerConfig,
} from "../../threads.js";
import { act, Gate, manage, manageActions, nextEvent, rejection, script, shutdownAll } from "./harness";

afterEach(shutdownAll);

describe("a wrong configuration is refused", () => {
  test.each<[string, unknown, string]>([
    ["minWorkers", -1, "minWorkers must be an integer of at least 0"],
    ["minWorkers", 1.5, "minWorkers must be an integer of at least 0"],
    ["minWorkers", 9, "Min workers cannot be greater than max workers"],
    ["maxWorkers", 0, "maxWorkers must be an integer of at least 1"],
    ["maxTaskQueueSize", 0, "Max task queue size must be at least 1"],
    ["maxTaskQueueSize", "9", "Max task queue size must be at least 1"],
    ["maxTaskQueueSize", NaN, "Max task queue size must be at least 1"],
    ["taskTimeout", -1, "taskTimeout must be a number of milliseconds"],
    ["taskTimeout", NaN, "taskTimeout must be a number of milliseconds"],
    ["healthCheckInterval", Infinity, "healthCheckInterval must be a finite number of milliseconds"],
    ["maxWorkerMemory", 1000, "maxWorkerMemory must be at least 1 MiB in bytes"],
    ["maxRetries", 0.5, "maxRetries must be an integer of at least 0"],
    ["retryDelay", Infinity, "retryDelay must be a finite number of milliseconds"],
    ["enableAutoScaling", "yes", "enableAutoScaling must be a boolean"],
    ["scaleUpThreshold", 1.1, "scaleUpThreshold must be a number from 0 to 1"],
    ["scaleDownThreshold", NaN, "scaleDownThreshold must be a number from 0 to 1"],
    ["backpressureThreshold", -0.1, "backpressureThreshold must be a number from 0 to 1"],
    ["retryJitter", 2, "retryJitter must be a number from 0 to 1"],
    ["queueFull", "drop", 'queueFull must be "reject" or "wait"'],
    ["onDependencyFailure", 1, 'onDependencyFailure must be "fail" or "run"'],
    ["queueOrder", "random", 'queueOrder must be "fifo" or "lifo"'],
    ["workerScriptPath", 7, "workerScriptPath must be a path or a file: URL"],
    [
      "workerScriptPath",
      new URL("http://example.org/x.js"),
      "workerScriptPath must be a path or a file: URL",
    ],
    ["handlers", 1, "handlers must be an object"],
    ["handlers", { NOPE: "./x.js" }, "Unknown task type: NOPE"],
    ["handlers", { CUSTOM: {} }, "A handler needs a file"],
    ["retryOn", { crash: 1 }, "retryOn.crash must be a boolean"],
    ["workerData", () => {}, "workerData cannot be sent: ()=>{} could not be cloned."],
    ["execArgv", "--x", "execArgv must be an array of strings"],
  ])("%s: %p", (field, value, message) => {
    const attempt = (): WorkerManager => createWorkerManager({ [field]: value } as WorkerManagerConfig);
    expect(attempt).toThrow(ValidationError);
    expect(attempt).toThrow(expect.objectContaining({ message, field, code: "VALIDATION_ERROR" }));
  });

  test("a configuration that is no object", () => {
    expect(() => createWorkerManager("fast" as never)).toThrow(ValidationError);
  });

  test("undefined means the default, and unknown options are ignored", () => {
    const config = manage({
      minWorkers: 1,
      maxWorkers: undefined,
      nonsense: 1,
    } as WorkerManagerConfig).getConfig();
    expect(config).toMatchObject({ minWorkers: 1, maxWorkers: 8 });
    expect(config).not.toHaveProperty("nonsense");
  });

  test("updateConfig changes nothing when it refuses", async () => {
    const manager = manage({ minWorkers: 1, maxWorkers: 2 });
    expect(await rejection(manager.updateConfig({ taskTimeout: 5, minWorkers: 3 }))).toBeInstanceOf(
      ValidationError,
    );
    expect(manager.getConfig()).toMatchObject({ taskTimeout: 30_000, minWorkers: 1 });
    await manager.updateConfig({ minWorkers: 2, taskTimeout: undefined, retryOn: { crash: false } });
    expect(manager.getConfig()).toMatchObject({
      minWorkers: 2,
      taskTimeout: 30_000,
      retryOn: { error: true, timeout: true, crash: false },
    });
    await manager.ready();
    expect(manager.getWorkerStatus()).toHaveLength(2);
  });
});

describe("a wrong submission is refused before anything is queued", () => {
  const cases: [string, unknown[], string, string][] = [
    ["an unknown type", ["NOPE", null], "type", "Unknown task type: NOPE"],
    ["a type that is no string", [7, null], "type", "Unknown task type: 7"],
    ["a type of Object.prototype", ["constructor", null], "type", "Unknown task type: constructor"],
    ["a callback that is none", ["CUSTOM", null, "cb"], "callback", "The callback must be a function"],
    ["options that are none", ["CUSTOM", null, null, 7], "options", "The options must be an object"],
    ...[0, 5, 1.5, "urgent", NaN, null].map((priority): [string, unknown[], string, string] => [
      `priority ${String(priority)}`,
      ["CUSTOM", null, null, { priority }],
      "priority",
      `Unknown priority: ${String(priority)}`,
    ]),
    [
      "a negative timeout",
      ["CUSTOM", null, null, { timeout: -1 }],
      "timeout",
      "The timeout must be at least 0 ms",
    ],
    [
      "a timeout of NaN",
      ["CUSTOM", null, null, { timeout: NaN }],
      "timeout",
      "The timeout must be at least 0 ms",
    ],
    [
      "fractional retries",
      ["CUSTOM", null, null, { maxRetries: 0.5 }],
      "maxRetries",
      "maxRetries must be an integer of at least 0",
    ],
    [
      "an endless retry delay",
      ["CUSTOM", null, null, { retryDelay: Infinity }],
      "retryDelay",
      "retryDelay must be a finite number of at least 0 ms",
    ],
    ["an empty id", ["CUSTOM", null, null, { id: "" }], "id", "The id must be a string that is not empty"],
    [
      "metadata that is none",
      ["CUSTOM", null, null, { metadata: 1 }],
      "metadata",
      "The metadata must be an object",
    ],
    [
      "metadata with a cycle",
      ["CUSTOM", null, null, { metadata: cyclic() }],
      "metadata",
      expect.stringContaining("The metadata cannot be sent") as never,
    ],
    [
      "a signal that is none",
      ["CUSTOM", null, null, { signal: {} }],
      "signal",
      "The signal must be an AbortSignal",
    ],
    [
      "dependencies that are none",
      ["CUSTOM", null, null, { dependencies: "task-1" }],
      "dependencies",
      "The dependencies must be an array of task ids",
    ],
    [
      "a payload that cannot be cloned",
      ["CUSTOM", () => {}],
      "payload",
      expect.stringContaining("The payload cannot be sent") as never,
    ],
    [
      "a payload with a symbol in it",
      ["CUSTOM", { deep: [Symbol("s")] }],
      "payload",
      expect.stringContaining("The payload cannot be sent") as never,
    ],
    [
      "a transfer list that is none",
      ["CUSTOM", null, null, { transferList: {} }],
      "transferList",
      "The transfer list must be an array",
    ],
    [
      "a transfer list with other things",
      ["CUSTOM", null, null, { transferList: [{}] }],
      "payload",
      expect.stringContaining("The payload cannot be sent") as never,
    ],
  ];

  test.each(cases)("%s", async (_name, args, field, message) => {
    const manager = manageActions();
    const submitted = jest.fn();
    manager.on("taskSubmitted", submitted);
    const error = await rejection((manager.submitTask as (...args: unknown[]) => Promise<string>)(...args));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toBeInstanceOf(OrchestrationError);
    expect(error).toMatchObject({
      field,
      message,
      code: "VALIDATION_ERROR",
      severity: "medium",
      recoverable: true,
    });
    expect(submitted).not.toHaveBeenCalled();
    expect(manager.getMetrics()).toMatchObject({ pendingTasks: 0, runningTasks: 0 });
    // The next id is not used up.
    expect(await manager.submitTask("CUSTOM", { action: "echo" })).toBe("task-1");
  });

  function cyclic(): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    value.self = value;
    return value;
  }

  test("an unknown dependency", async () => {
    const manager = manageActions();
    const error = await rejection(manager.submitTask("CUSTOM", null, null, { dependencies: ["task-7"] }));
    expect(error).toBeInstanceOf(WorkerError);
    expect(error).toMatchObject({
      code: "UNKNOWN_DEPENDENCY",
      message: "Unknown dependency: task-7",
      severity: "high",
    });
  });

  test("the id of a task that is not settled", async () => {
    const manager = manageActions();
    manager.pause();
    await manager.submitTask("CUSTOM", { action: "echo" }, null, { id: "mine" });
    expect(await rejection(manager.submitTask("CUSTOM", null, null, { id: "mine" }))).toMatchObject({
      field: "id",
      message: "Duplicate task id: mine",
    });
    manager.resume();
    await manager.onIdle();
    expect(await manager.submitTask("CUSTOM", { action: "echo" }, null, { id: "mine" })).toBe("mine");
  });

  test("and generated ids step aside for given ones", async () => {
    const manager = manageActions();
    manager.pause();
    await manager.submitTask("CUSTOM", { action: "echo" }, null, { id: "task-2" });
    expect(await manager.submitTask("CUSTOM", { action: "echo" })).toBe("task-3");
  });
});

describe("a full queue", () => {
  const fill = async (manager: WorkerManager, count: number, options?: TaskOptions): Promise<void> => {
    for (let n = 0; n < count; n++)
      await manager.submitTask("CUSTOM", { action: "echo", value: n }, null, options);
  };

  test("refuses further tasks", async () => {
    const manager = manageActions({ maxTaskQueueSize: 3 });
    manager.pause();
    await fill(manager, 3);
    const buffer = new ArrayBuffer(8);
    const error = await rejection(act(manager, "echo", { buffer }, { transferList: [buffer] }));
    expect(error).toMatchObject({ code: "QUEUE_FULL", message: "Task queue is full (3)" });
    expect(buffer.byteLength).toBe(8);
    expect(await rejection(act(manager, "echo"))).toMatchObject({ code: "QUEUE_FULL" });
    manager.resume();
    await manager.onIdle();
    expect(await act(manager, "echo", { value: "room" })).toBe("room");
  });

  test("has submissions wait with queueFull wait, in their order", async () => {
    const manager = manageActions({ maxTaskQueueSize: 2, queueFull: "wait" });
    manager.pause();
    const order: unknown[] = [];
    const all = [0, 1, 2, 3, 4, 5].map(async (value) => {
      const id = await manager.submitTask("CUSTOM", { action: "echo", value }, (_error, result) =>
        order.push(result),
      );
      return id;
    });
    await Promise.all(all.slice(0, 2));
    expect(manager.getMetrics().pendingTasks).toBe(2);
    manager.resume();
    expect(await Promise.all(all)).toEqual(["task-1", "task-2", "task-3", "task-4", "task-5", "task-6"]);
    await manager.onIdle();
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("lets go of a submission that waits when its signal is aborted", async () => {
    const manager = manageActions({ maxTaskQueueSize: 1, queueFull: "wait" });
    manager.pause();
    await manager.submitTask("CUSTOM", { action: "echo" });
    const controller = new AbortController();
    const waiting = rejection(act(manager, "echo", {}, { signal: controller.signal }));
    const other = act(manager, "echo", { value: "other" });
    controller.abort();
    expect(await waiting).toMatchObject({
      code: "TASK_CANCELLED",
      cause: controller.signal.reason as unknown,
    });
    manager.resume();
    expect(await other).toBe("other");
  });

  test("counts tasks that are blocked or wait for a retry", async () => {
    const manager = manageActions({ maxTaskQueueSize: 2, retryDelay: 60_000 });
    const failing = await manager.submitTask("CUSTOM", { action: "fail" });
    await nextEvent(manager, "taskRetry");
    await manager.submitTask("CUSTOM", null, null, { dependencies: [failing] });
    expect(manager.getMetrics()).toMatchObject({ pendingTasks: 2, blockedTasks: 1 });
    expect(await rejection(act(manager, "echo"))).toMatchObject({ code: "QUEUE_FULL" });
  });

  test("is announced once by backpressure, and its end by drain", async () => {
    const manager = manageActions({ maxTaskQueueSize: 10, backpressureThreshold: 0.5 });
    const seen: unknown[] = [];
    manager.on("backpressure", (event) => seen.push(event));
    manager.on("drain", () => seen.push("drain"));
    manager.pause();
    await fill(manager, 4);
    expect(manager.backpressure).toBe(false);
    await fill(manager, 4);
    expect(manager.backpressure).toBe(true);
    expect(seen).toEqual([{ queueSize: 5, maxQueueSize: 10, utilization: 0.5 }]);
    manager.resume();
    await manager.onIdle();
    await act(manager, "echo");
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBe("drain");
    expect(manager.backpressure).toBe(false);
  });
});

test("pause holds tasks back, resume lets them go, onIdle waits for all", async () => {
  const manager = manageActions();
  await manager.ready();
  manager.pause();
  const done: string[] = [];
  const result = act(manager, "echo").then(() => done.push("task"));
  const gate = new Gate();
  expect(manager.getMetrics()).toMatchObject({ pendingTasks: 1, runningTasks: 0 });
  const idle = manager.onIdle().then(() => done.push("idle"));
  expect(await manager.scaleUp(0)).toBe(0);
  expect(done).toEqual([]);
  manager.resume();
  await Promise.all([result, idle]);
  expect(done).toEqual(["task", "idle"]);
  gate.open();
  await manager.onIdle();
});

test("a throwing callback is reported and stops nothing", async () => {
  const manager = manageActions();
  const errors: unknown[] = [];
  manager.on("error", ({ type, error, task }) => errors.push([type, error.message, task?.id]));
  await manager.submitTask("CUSTOM", { action: "echo" }, () => {
    throw new Error("mine");
  });
  await manager.onIdle();
  manager.once("taskCompleted", () => {
    throw new TypeError("listener");
  });
  expect(await act(manager, "echo", { value: 2 })).toBe(2);
  await manager.onIdle();
  expect(errors).toEqual([
    ["callback_error", "mine", "task-1"],
    ["callback_error", "listener", undefined],
  ]);
});

test("an error nobody listens to goes to the log", async () => {
  const log = jest.spyOn(console, "error").mockImplementation(() => {});
  const manager = manageActions();
  await manager.submitTask("CUSTOM", { action: "echo" }, () => {
    throw new Error("mine");
  });
  await manager.onIdle();
  expect(log).toHaveBeenCalledWith(
    "worker-server-native: callback_error:",
    expect.objectContaining({ message: "mine" }),
  );
  log.mockRestore();
});

test("enableDebugLogging logs events", async () => {
  const log = jest.spyOn(console, "debug").mockImplementation(() => {});
  const manager = manageActions({ enableDebugLogging: true });
  await act(manager, "echo");
  await manager.shutdown();
  const logged = log.mock.calls.map(([text]) => text as string);
  log.mockRestore();
  for (const event of ["taskSubmitted", "workerCreated", "taskAssigned", "taskCompleted"])
    expect(logged).toContain(`[worker-threads] ${event}`);
});

test("the seed's four priorities have their numbers", () => {
  expect([TaskPriority.LOW, TaskPriority.NORMAL, TaskPriority.HIGH, TaskPriority.CRITICAL]).toEqual([
    1, 2, 3, 4,
  ]);
});

test("a handler module may be named", async () => {
  const manager = manage({
    minWorkers: 1,
    handlers: { FILE_IO: { file: script("actions.cjs"), name: "named" } },
  });
  expect(await manager.run("FILE_IO", 5)).toEqual({ named: 5 });
});
