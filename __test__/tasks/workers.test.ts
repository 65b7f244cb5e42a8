import { BrowserTaskWorker, BrowserWorkerManager, ServerWorkerManager } from "../../tasks.js";
import { FakeWorker, closeAll, fakeWorkers, manageTasks, silence } from "./harness.js";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  closeAll();
  jest.useRealTimers();
  jest.restoreAllMocks();
});

test("statuses from the start to the end", () => {
  const fake = new FakeWorker();
  const manager = manageTasks();
  const browser = new BrowserWorkerManager({ manager, configs: [{ tasks: ["a"], create: () => fake }] });
  const [worker] = browser.workers;
  expect(worker).toBeInstanceOf(BrowserTaskWorker);
  expect(worker).toMatchObject({ status: "offline", tasks: ["a"], script: "", error: undefined });
  expect(worker!.browserWorkerManager).toBe(browser);
  expect(worker!.canDo({ message: "task-available", content: { name: "a" } })).toBeUndefined();
  fake.send({ message: "worker-ready", workerId: "other", content: {} });
  expect(worker!.status).toBe("offline");
  fake.ready();
  expect(worker!.status).toBe("available");
  expect(worker!.canDo({ message: "task-available", content: { name: "a" } })).toBe(true);
  expect(worker!.canDo({ message: "task-available", content: { name: "b" } })).toBe(false);
  manager.addTask({ name: "a", params: 1 });
  expect(worker!.status).toBe("working");
  worker!.status = "available";
  expect(worker!.status).toBe("working");
  expect(worker!.canDo({ message: "task-available", content: { name: "a" } })).toBeUndefined();
  browser.close();
  browser.close();
  expect(worker).toMatchObject({ status: "closed", browserWorkerManager: undefined });
  expect(fake.isTerminated).toBe(true);
  expect(worker!.canDo({ message: "task-available", content: { name: "a" } })).toBe(false);
  const warn = silence("warn");
  worker!.claim({ id: "1", name: "a", params: 1, status: "new" });
  expect(warn).toHaveBeenCalledWith(`Worker ${worker!.id} is closed and cannot claim tasks`);
  fake.answer();
  worker!.status = "available";
  expect(worker!.status).toBe("closed");
  expect(browser.workers).toEqual([]);
  expect(browser.taskManager).toBeUndefined();
  const next = manageTasks();
  browser.assignTaskManager(next);
  expect(browser.taskManager).toBe(next);
});

test("a worker has one task, and its manager's other workers get the others", () => {
  const { manager, fakes } = fakeWorkers(3);
  for (let params = 0; params < 5; params++) manager.addTask({ name: "a", params });
  expect(fakes.map(({ tasks }) => tasks.length)).toEqual([1, 1, 1]);
  fakes[1]!.answer();
  fakes[1]!.answer();
  expect(fakes.map(({ tasks }) => tasks.length)).toEqual([1, 3, 1]);
});

test("workers are chosen at random", () => {
  const { manager, fakes } = fakeWorkers(2);
  const random = jest.spyOn(Math, "random").mockReturnValue(0.99);
  manager.addTask({ name: "a", params: 1 });
  expect(fakes.map(({ tasks }) => tasks.length)).toEqual([0, 1]);
  random.mockReturnValue(0);
  fakes[1]!.answer();
  manager.addTask({ name: "a", params: 1 });
  expect(fakes.map(({ tasks }) => tasks.length)).toEqual([1, 1]);
});

test("a task manager that is assigned later, with tasks that wait", () => {
  const fake = new FakeWorker();
  const browser = new BrowserWorkerManager({ configs: [{ tasks: ["a"], create: () => fake }] });
  fake.ready();
  const manager = manageTasks();
  const tasks = [1, 2].map((params) => manager.addTask({ name: "a", params }).id);
  browser.assignTaskManager(manager);
  fake.answer();
  expect(fake.tasks).toEqual(tasks);
  expect(() => browser.assignTaskManager(manager)).toThrow("browser manager already has manager");
  expect(() => browser.assignTaskManager(manager)).toThrow(
    expect.objectContaining({ code: "MANAGER_ALREADY_ASSIGNED" }),
  );
  browser.close();
  const server = new ServerWorkerManager({ manager, configs: [] });
  expect(() => server.assignTaskManager(manager)).toThrow("server manager already has manager");
});

test("a grant that comes to a busy worker is given back", () => {
  const { manager, fakes, browser } = fakeWorkers(2);
  manager.addTask({ name: "a", params: 1 });
  const busy = browser.workers.find(({ status }) => status === "working")!;
  const idle = fakes.find(({ id }) => id !== busy.id)!;
  const hold = manager.addTask({ name: "other", params: 2 });
  const seen: string[] = [];
  manager.events$.subscribe(({ message }) => seen.push(message));
  busy.claim(hold);
  expect(seen).toEqual([
    ...[
      "task-claim",
      "task-updated",
      "task-claim-granted",
      "release-claim",
      "task-updated",
      "task-available",
    ],
  ]);
  expect(hold).toMatchObject({ status: "new", assignedWorker: undefined });
  expect(idle.tasks).toEqual([]);
});

test("params that cannot be cloned fail the task, and the worker takes the next one", () => {
  const { manager, fakes, browser } = fakeWorkers(1);
  const onError = jest.fn();
  manager.addTask({ name: "a", params: () => {}, onError });
  expect(onError).toHaveBeenCalledTimes(1);
  expect(onError.mock.calls[0][0].error).toMatch(/could not be cloned/);
  expect(browser.workers[0]!.status).toBe("available");
  const next = manager.addTask({ name: "a", params: 1 });
  expect(fakes[0]!.tasks).toEqual([next.id]);
});

test("tasks of a shared array are copied", () => {
  const tasks = ["a"];
  const { browser } = fakeWorkers(2, tasks);
  tasks.push("b");
  expect(browser.workers.map((worker) => worker.tasks)).toEqual([["a"], ["a"]]);
  expect(browser.workers[0]!.tasks).not.toBe(browser.workers[1]!.tasks);
});

test("a script that fails before it is ready closes its worker", () => {
  const log = silence("error");
  const fake = new FakeWorker();
  const manager = manageTasks();
  const browser = new BrowserWorkerManager({ manager, configs: [{ tasks: ["a"], create: () => fake }] });
  fake.fail("no such file");
  expect(browser.workers[0]).toMatchObject({
    status: "closed",
    error: "Failed to load worker script:  (no such file)",
  });
  expect(log).toHaveBeenCalledWith("Worker script failed to load:", "", expect.anything());
  expect(fake.isTerminated).toBe(true);
  expect(jest.getTimerCount()).toBe(0);
  manager.addTask({ name: "a", params: 1 });
  expect(fake.tasks).toEqual([]);
});

test("a constructor that throws closes its worker", () => {
  silence("error");
  const browser = new BrowserWorkerManager({
    configs: [
      {
        create() {
          throw new Error("not allowed");
        },
      },
    ],
  });
  expect(browser.workers[0]).toMatchObject({
    status: "closed",
    error: "Failed to load worker script:  (not allowed)",
  });
});

test("a script that fails later is started again, with longer and longer delays, then closed", () => {
  silence("error");
  const { manager, fakes, browser } = fakeWorkers(1, ["a"], { restart: { max: 3, delay: 10 } });
  const [worker] = browser.workers;
  const onError = jest.fn();
  manager.addTask({ name: "a", params: 1, onError });
  manager.addTask({ name: "a", params: 2 });
  fakes[0]!.fail("bang");
  expect(onError.mock.calls).toEqual([[expect.objectContaining({ error: "bang", workerId: worker!.id })]]);
  for (const [index, delay] of [10, 20, 40].entries()) {
    expect(worker!.status).toBe("offline");
    jest.advanceTimersByTime(delay - 1);
    expect(fakes).toHaveLength(index + 1);
    jest.advanceTimersByTime(1);
    expect(fakes).toHaveLength(index + 2);
    if (index === 2) break;
    fakes[index + 1]!.ready().fail("bang");
  }
  // What a former script sends is nobody's.
  fakes[0]!.ready();
  expect(worker!.status).toBe("offline");
  // A task that is done ends the series of failures.
  manager.addTask({ name: "a", params: 3 });
  fakes[3]!.ready().answer();
  expect(worker!.status).toBe("available");
  for (let index = 3; index < 7; index++) {
    fakes[index]!.fail("bang");
    jest.advanceTimersByTime(1000);
    fakes[index + 1]?.ready();
  }
  expect(worker!.status).toBe("closed");
  expect(fakes).toHaveLength(7);
});

test("close() during the delay before a restart", () => {
  silence("error");
  const { fakes, browser } = fakeWorkers(1);
  fakes[0]!.fail("bang");
  browser.close();
  jest.runAllTimers();
  expect(fakes).toHaveLength(1);
});

test("a timeout ends the script and starts it again at once", () => {
  const { manager, fakes, browser } = fakeWorkers(1);
  const onError = jest.fn();
  const task = manager.addTask({ name: "a", params: 1, timeout: 50, onError });
  const next = manager.addTask({ name: "a", params: 1, timeout: 50 });
  jest.advanceTimersByTime(50);
  expect(onError.mock.calls).toEqual([
    [expect.objectContaining({ error: `Task ${task.id} timed out after 50 ms` })],
  ]);
  expect(fakes[0]!.isTerminated).toBe(true);
  expect(browser.workers[0]!.status).toBe("offline");
  fakes[1]!.ready();
  expect(fakes[1]!.tasks).toEqual([next.id]);
  fakes[1]!.answer();
  jest.advanceTimersByTime(1000);
  expect(fakes).toHaveLength(2);
});

test("a timeout ends the script when the task manager is closed, too", () => {
  const { manager, fakes } = fakeWorkers(1);
  manager.addTask({ name: "a", params: 1, timeout: 50 });
  manager.close();
  jest.advanceTimersByTime(50);
  expect(fakes[0]!.isTerminated).toBe(true);
});

test("without restart a timeout closes the worker", () => {
  const { manager, fakes, browser } = fakeWorkers(1, ["a"], { restart: false });
  manager.addTask({ name: "a", params: 1, timeout: 50 });
  jest.advanceTimersByTime(50);
  expect(browser.workers[0]!.status).toBe("closed");
  expect(fakes).toHaveLength(1);
});

test("a signal takes a task from the queue, or ends the script that runs it", () => {
  const { manager, fakes } = fakeWorkers(1);
  const running = new AbortController();
  const waiting = new AbortController();
  const errors: unknown[] = [];
  const onError = ({ taskId, error }: { taskId?: string; error?: string }): number =>
    errors.push([taskId, error]);
  const first = manager.addTask({ name: "a", params: 1, signal: running.signal, onError });
  const second = manager.addTask({ name: "a", params: 2, signal: waiting.signal, onError });
  const third = manager.addTask({ name: "a", params: 3, signal: AbortSignal.abort(), onError });
  waiting.abort();
  running.abort();
  running.abort();
  const text = ({ id }: { id: string }): unknown[] => [id, `Task ${id} was aborted`];
  expect(errors).toEqual([text(third), text(second), text(first)]);
  expect(fakes[0]!.isTerminated).toBe(true);
  expect(fakes[1]!.ready().tasks).toEqual([]);
});

test("one signal ends many tasks, without a warning of Node", () => {
  const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
  const { manager, fakes } = fakeWorkers(1);
  const controller = new AbortController();
  const errors = jest.fn();
  const add = (): void => {
    manager.addTask({ name: "a", params: 1, signal: controller.signal, onError: errors });
  };
  for (let count = 0; count < 20; count++) add();
  fakes[0]!.answer();
  controller.abort();
  expect(errors).toHaveBeenCalledTimes(19);
  expect(manager.status().pending).toEqual([]);
  expect(warn).not.toHaveBeenCalled();
});

test("a deleted task runs to its end without callbacks", () => {
  const { manager, fakes } = fakeWorkers(1);
  const called = jest.fn();
  const task = manager.addTask({ name: "a", params: 1, onSuccess: called, onError: called });
  const next = manager.addTask({ name: "a", params: 1 });
  manager.deleteTask(task.id);
  expect(fakes[0]!.isTerminated).toBe(false);
  fakes[0]!.answer();
  expect(called).not.toHaveBeenCalled();
  expect(fakes[0]!.tasks).toEqual([task.id, next.id]);
});

test("hostile messages change nothing", () => {
  const log = silence("log");
  const { manager, fakes } = fakeWorkers(2);
  const onSuccess = jest.fn();
  for (let params = 0; params < 3; params++) manager.addTask({ name: "a", params, onSuccess });
  const [one, other] = fakes as [FakeWorker, FakeWorker];
  for (const garbage of [null, undefined, 1, "text", true]) one.send(garbage);
  expect(log).not.toHaveBeenCalled();
  one.send({ message: "what" });
  expect(log).toHaveBeenCalledWith("unknown worker message", { message: "what" });
  // For no task, for a task of another worker, and as another worker.
  one.send({ message: "worker-response", workerId: one.id });
  one.send({ message: "worker-response", taskId: "unknown", workerId: one.id });
  one.send({ message: "worker-response", taskId: other.tasks[0], workerId: other.id });
  one.ready();
  expect(onSuccess).not.toHaveBeenCalled();
  expect([one.tasks.length, other.tasks.length]).toEqual([1, 1]);
  const { tasks } = one;
  one.send({ message: "worker-response", taskId: tasks[0], workerId: other.id, content: "mine" });
  one.send({ message: "worker-response", taskId: tasks[0], workerId: one.id, content: "again" });
  expect(onSuccess.mock.calls).toEqual([
    [expect.objectContaining({ taskId: tasks[0], workerId: one.id, content: "mine" })],
  ]);
  expect(other.tasks).toHaveLength(1);
});

test.each([
  [{}, "either `script` or `create`"],
  [{ script: "/a.js", create: () => new FakeWorker() }, "either `script` or `create`"],
  [{ create: () => new FakeWorker(), type: "module" as const }, "`type` and `name`"],
  [{ create: () => new FakeWorker(), count: 0 }, "count"],
  [{ create: () => new FakeWorker(), count: 1.5 }, "count"],
  [{ create: () => new FakeWorker(), restart: { delay: -1 } }, "restart.delay"],
  [{ create: () => new FakeWorker(), restart: { max: -1 } }, "restart.max"],
  [{ script: "/a.js", type: "what" as never }, "type"],
])("an invalid configuration is refused: %o", (config, text) => {
  const earlier = new FakeWorker();
  const make = (): unknown => new BrowserWorkerManager({ configs: [{ create: () => earlier }, config] });
  expect(make).toThrow(text);
  expect(make).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  expect(earlier.isTerminated).toBe(true);
});
