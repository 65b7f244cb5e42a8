import os from "node:os";
import { ServerWorkerManager, TASK_STATUS, TaskManager, WORKER_STATUS, type MessageIF } from "../../tasks.js";
import { closeAll, manageTasks, manageThreads, nextMessage, script } from "./harness.js";

/* The samples of the seed that run on a server. Those for browsers are in browser.test.ts. */

afterEach(() => {
  closeAll();
  jest.restoreAllMocks();
});

const MATH = {
  tasks: ["add", "multiply", "divide", "fibonacci", "calculate"],
  script: script("math-worker.cjs"),
};

test("the quick start", async () => {
  const taskManager = manageTasks();
  manageThreads(taskManager, MATH, { tasks: ["echo"] });
  const results = await new Promise<unknown[]>((resolve) => {
    const seen: unknown[] = [];
    const onSuccess = (result: MessageIF): void => {
      if (seen.push(result.content) === 2) resolve(seen);
    };
    taskManager.addTask({ name: "fibonacci", params: { n: 20 }, onSuccess, onError: onSuccess });
    taskManager.addTask({ name: "add", params: { a: 10, b: 20 }, onSuccess });
  });
  expect(results).toEqual([6765, 30]);
});

test("success and error handling", async () => {
  const taskManager = manageTasks();
  const [worker] = manageThreads(taskManager, MATH).workers;
  const response = await new Promise<MessageIF>((onSuccess) => {
    taskManager.addTask({ name: "calculate", params: { operation: "add", a: 5, b: 3 }, onSuccess });
  });
  expect(response).toEqual({
    message: "worker-response",
    content: 8,
    taskId: expect.any(String),
    workerId: worker!.id,
    managerId: taskManager.id,
    seq: expect.any(Number),
  });
  const statuses: unknown[] = [];
  taskManager.events$.subscribe(({ message, content }) => {
    if (message === "task-updated") statuses.push(content.new.status);
  });
  const failure = await new Promise<MessageIF>((onError) => {
    const task = taskManager.addTask({
      name: "divide",
      params: { a: 10, b: 0 },
      onSuccess() {
        throw new Error("unexpected");
      },
      onError,
    });
    expect(taskManager.status().working).toEqual([task.id]);
  });
  expect(failure).toMatchObject({ error: "Division by zero is not allowed", workerId: worker!.id });
  expect(statuses).toEqual([TASK_STATUS.WORKING, TASK_STATUS.FAILED]);
  expect(taskManager.status()).toEqual({
    failed: [failure.taskId],
    working: [],
    pending: [],
    active: [],
  });
});

test("a server's worker manager with one worker for each core", async () => {
  const taskManager = manageTasks();
  const workerManager = new ServerWorkerManager({
    manager: taskManager,
    configs: Array(os.cpus().length).fill({
      tasks: ["heavy-computation", "data-processing"],
      script: script("math-worker.cjs"),
    }),
  });
  let completed = 0;
  await new Promise<void>((resolve, reject) => {
    for (let i = 0; i < 100; i++)
      taskManager.addTask({
        name: "heavy-computation",
        params: { iterations: 1000 },
        onSuccess: () => {
          if (++completed === 100) resolve();
        },
        onError: ({ error }) => reject(new Error(error)),
      });
  });
  workerManager.close();
  expect(completed).toBe(100);
});

test.each(["workers first", "tasks first"])("the cleanup in any order: %s", async (order) => {
  const taskManager = manageTasks();
  const workerManager = manageThreads(taskManager, MATH);
  const { workers } = workerManager;
  await nextMessage(taskManager, ({ message }) => message === "worker-ready");
  const completed = jest.fn();
  taskManager.events$.subscribe({ complete: completed });
  if (order === "workers first") {
    workerManager.close();
    taskManager.close();
  } else {
    taskManager.close();
    workerManager.close();
  }
  workerManager.close();
  expect(completed).toHaveBeenCalledTimes(1);
  expect(workers.map(({ status }) => status)).toEqual([WORKER_STATUS.CLOSED]);
  expect(workerManager.workers).toEqual([]);
});

test("the API reference", () => {
  const manager = new TaskManager();
  for (const name of ["addTask", "deleteTask", "updateTask", "task", "status", "emit", "close"] as const)
    expect(typeof manager[name]).toBe("function");
  const workers = new ServerWorkerManager({ manager, configs: [MATH] });
  expect(workers.taskManager).toBe(manager);
  const [worker] = workers.workers;
  expect(worker).toMatchObject({ tasks: MATH.tasks, status: "offline", script: MATH.script });
  for (const name of ["claim", "listenToTaskManager", "canDo", "close"] as const)
    expect(typeof worker![name]).toBe("function");
  workers.close();
  manager.close();
});
