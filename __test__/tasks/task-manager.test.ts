import { Message, TASK_MESSAGES, TASK_STATUS, TaskManager, TaskRequest, WORKER_STATUS } from "../../tasks.js";
import { closeAll, fakeWorkers, manageTasks, silence } from "./harness.js";

afterEach(() => {
  jest.restoreAllMocks();
  closeAll();
});

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("the constants", () => {
  expect(TASK_MESSAGES).toStrictEqual({
    NEW_TASK: "new-task",
    TASK_CLAIM: "task-claim",
    TASK_UPDATED: "task-updated",
    TASK_DELETED: "task-deleted",
    INIT_WORKER: "init-worker",
    WORKER_READY: "worker-ready",
    WORKER_UPDATED: "worker-updated",
    TASK_CLAIM_GRANTED: "task-claim-granted",
    START_TASK: "start-task",
    RELEASE_CLAIM: "release-claim",
    TASK_AVAILABLE: "task-available",
    WORKER_WORK: "worker-work",
    WORKER_RESPONSE: "worker-response",
  });
  expect(WORKER_STATUS).toStrictEqual({
    AVAILABLE: "available",
    WORKING: "working",
    OFFLINE: "offline",
    CLOSED: "closed",
  });
  expect(TASK_STATUS).toStrictEqual({
    NEW: "new",
    WORKING: "working",
    FAILED: "failed",
    DONE: "done",
    ACTIVE: "active",
  });
});

test("messages", () => {
  const all = {
    message: "m",
    content: 1,
    taskId: "t",
    workerId: "w",
    managerId: "x",
    seq: 3,
    error: "e",
  };
  const { message, content, ...params } = all;
  expect(new Message(message, content, params).toObject()).toStrictEqual(all);
  const none = { content: undefined, taskId: undefined, workerId: undefined, managerId: undefined };
  expect(Message.simple("m").toObject()).toStrictEqual({
    message: "m",
    ...none,
    seq: undefined,
    error: undefined,
  });
  expect(Message.forTask("m", "t", 1, "w")).toMatchObject({ taskId: "t", content: 1, workerId: "w" });
  expect(Message.forWorker("m", "w", 1)).toMatchObject({ workerId: "w", content: 1 });
  expect(Message.error("m", "e", "t", "w")).toMatchObject({ error: "e", taskId: "t", workerId: "w" });
  expect(Message.error("m", "e").content).toBeUndefined();
  const old = new Message("m", 1, { taskId: "t" });
  const changed = old.with({ message: "", content: undefined, workerId: "w" });
  expect(changed).toBeInstanceOf(Message);
  expect(changed.toObject()).toMatchObject({ message: "m", content: 1, taskId: "t", workerId: "w" });
  expect(old.workerId).toBeUndefined();
});

test("tasks until somebody takes them", () => {
  const manager = manageTasks();
  expect(manager.id).toMatch(uuid);
  const first = manager.addTask({ name: "a", params: 1 });
  const second = manager.addTask({ name: "b", params: 2 });
  expect(first).toBeInstanceOf(TaskRequest);
  expect(first).toMatchObject({ name: "a", params: 1, status: "new", id: expect.stringMatching(uuid) });
  expect(manager.task(first.id)).toBe(first);
  expect(manager.status()).toEqual({ failed: [], working: [], active: [], pending: [first.id, second.id] });
  manager.updateTask(second.id, { status: "active" });
  manager.updateTask(first.id, { status: "failed" });
  expect(manager.status()).toEqual({ failed: [first.id], working: [], active: [second.id], pending: [] });
  manager.deleteTask(first.id);
  manager.deleteTask("unknown");
  expect(manager.task(first.id)).toBeUndefined();
  const warn = silence("warn");
  manager.updateTask("unknown", { name: "x" });
  expect(warn).toHaveBeenCalledWith("cannot get task ", "unknown");
});

test.each([{ priority: NaN }, { timeout: 0 }, { timeout: -1 }, { timeout: 2 ** 31 }])(
  "%o is refused",
  (options) => {
    const manager = manageTasks();
    expect(() => manager.addTask({ name: "a", params: 1, ...options })).toThrow(
      expect.objectContaining({ name: "TaskError", code: "INVALID_OPTION" }),
    );
    expect(manager.status().pending).toEqual([]);
  },
);

test("failedHistory is checked", () => {
  expect(() => new TaskManager({ failedHistory: -1 })).toThrow("failedHistory");
});

test("after close() nothing is added, sent or called", () => {
  const { manager, fakes } = fakeWorkers(1);
  const called = jest.fn();
  const completed = jest.fn();
  manager.events$.subscribe({ next: called, complete: completed });
  manager.addTask({ name: "a", params: 1, onSuccess: called, onError: called });
  called.mockClear();
  manager.close();
  manager.close();
  expect(completed).toHaveBeenCalledTimes(1);
  expect(() => manager.addTask({ name: "a", params: 1 })).toThrow(
    "Cannot add task: TaskManager has been closed",
  );
  manager.emit({ message: "mine" });
  fakes[0]!.answer();
  expect(called).not.toHaveBeenCalled();
  expect(manager.status().working).toEqual([]);
});

test("failPendingOnClose fails what has not ended, once", () => {
  const manager = manageTasks({ failPendingOnClose: true });
  const { fakes } = fakeWorkers(1, ["a"], {}, manager);
  const errors: unknown[] = [];
  const onError = (response: unknown): number => errors.push(response);
  const first = manager.addTask({
    name: "a",
    params: 1,
    onError,
    onSuccess() {
      manager.close();
    },
  });
  const second = manager.addTask({ name: "a", params: 1, onError });
  fakes[0]!.answer();
  expect(first.status).toBe("done");
  expect(errors).toEqual([
    { message: "worker-response", taskId: second.id, error: "TaskManager closed", managerId: manager.id },
  ]);
});

test("status shows the last failed tasks", () => {
  const manager = manageTasks({ failedHistory: 2 });
  const { fakes } = fakeWorkers(1, ["a"], {}, manager);
  const ids = [1, 2, 3].map((params) => manager.addTask({ name: "a", params }).id);
  for (const _ of ids) fakes[0]!.answer({ error: "no" });
  expect(manager.status()).toEqual({ failed: ids.slice(1), working: [], active: [], pending: [] });
  expect(manager.task(ids[2]!)).toBeUndefined();
});

test("an empty error is a success", () => {
  const { manager, fakes } = fakeWorkers(1);
  const onSuccess = jest.fn();
  manager.addTask({ name: "a", params: 1, onSuccess });
  fakes[0]!.answer({ error: "" });
  expect(onSuccess).toHaveBeenCalledTimes(1);
  expect(manager.status().failed).toEqual([]);
});

test("what a callback throws is reported after the task has ended", () => {
  jest.useFakeTimers();
  try {
    const { manager, fakes } = fakeWorkers(1);
    const task = manager.addTask({
      name: "a",
      params: 1,
      onSuccess() {
        throw new Error("mine");
      },
    });
    const next = manager.addTask({ name: "a", params: 1 });
    fakes[0]!.answer();
    expect(manager.task(task.id)).toBeUndefined();
    expect(next.status).toBe("working");
    expect(() => jest.runAllTimers()).toThrow("mine");
  } finally {
    jest.useRealTimers();
  }
});

test("higher priorities first, then in the order of addition", () => {
  const { manager, fakes } = fakeWorkers(1, ["a", "b"]);
  manager.addTask({ name: "a", params: 0 });
  const add = (name: string, priority?: number): string => manager.addTask({ name, params: 0, priority }).id;
  const [low, plainA, plainB, high, other, late] = [
    add("a", -1),
    add("a"),
    add("b"),
    add("a", 5),
    add("b", 5),
    add("a"),
  ];
  manager.addTask({ name: "none", params: 0, priority: 9 });
  for (let turn = 0; turn < 7; turn++) fakes[0]!.answer();
  expect(fakes[0]!.tasks.slice(1)).toEqual([high, other, plainA, plainB, late, low]);
});

test("a task that is added by a callback waits behind older ones", () => {
  const { manager, fakes } = fakeWorkers(1);
  let added = "";
  manager.addTask({
    name: "a",
    params: 0,
    onSuccess() {
      added = manager.addTask({ name: "a", params: 0 }).id;
    },
  });
  const waiting = manager.addTask({ name: "a", params: 0 }).id;
  for (let turn = 0; turn < 3; turn++) fakes[0]!.answer();
  expect(fakes[0]!.tasks.slice(1)).toEqual([waiting, added]);
});

test("claims of unknown, taken or ended tasks are ignored", () => {
  const manager = manageTasks();
  const seen = jest.fn();
  const task = manager.addTask({ name: "a", params: 1 });
  manager.emit({ message: "task-claim", taskId: task.id, workerId: "one" });
  manager.events$.subscribe(({ message }) => seen(message));
  for (const claim of [{ taskId: task.id }, { workerId: "two" }, { taskId: "unknown", workerId: "two" }])
    manager.emit({ message: "task-claim", ...claim });
  manager.emit({ message: "task-claim", taskId: task.id, workerId: "two" });
  expect(task.assignedWorker).toBe("one");
  expect(new Set(seen.mock.calls.flat())).toEqual(new Set(["task-claim"]));
});

test("a task that is put back is offered again at its old place", () => {
  const { manager, fakes } = fakeWorkers(1);
  const [first, second, third] = [1, 2, 3].map((params) => manager.addTask({ name: "a", params }));
  manager.emit({ message: "task-claim", taskId: second!.id, workerId: "somebody" });
  manager.updateTask(second!.id, { status: "new", assignedWorker: undefined });
  for (let turn = 0; turn < 3; turn++) fakes[0]!.answer();
  expect(fakes[0]!.tasks).toEqual([first!.id, second!.id, third!.id]);
});

test("run() resolves to the content, and rejects for every other end", async () => {
  const { manager, fakes } = fakeWorkers(1);
  const good = manager.run<string>({ name: "a", params: 1 });
  fakes[0]!.answer({ content: "result" });
  expect(await good).toBe("result");
  const bad = manager.run({ name: "a", params: 1 });
  fakes[0]!.answer({ error: "no" });
  await expect(bad).rejects.toMatchObject({
    name: "TaskError",
    message: "no",
    code: "TASK_FAILED",
    workerId: fakes[0]!.id,
  });
  const deleted = manager.run({ name: "none", params: 1 });
  manager.deleteTask(manager.status().pending[0]!);
  await expect(deleted).rejects.toMatchObject({ code: "TASK_DELETED" });
  const reason = new Error("my reason");
  await expect(manager.run({ name: "a", params: 1, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const pending = manager.run({ name: "none", params: 1 });
  manager.close();
  await expect(pending).rejects.toMatchObject({ code: "MANAGER_CLOSED" });
  await expect(manager.run({ name: "a", params: 1 })).rejects.toMatchObject({ code: "MANAGER_CLOSED" });
});
