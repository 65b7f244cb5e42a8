import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { ServerWorkerManager } from "../../tasks.js";
import {
  ACTIONS,
  closeAll,
  manageTasks,
  manageThreads,
  nextMessage,
  reached,
  respond,
  script,
  silence,
} from "./harness.js";

afterEach(() => {
  closeAll();
  jest.restoreAllMocks();
});

const quick = { restart: { delay: 1 } };

test.each([
  ["exit", 3, "exited with code 3"],
  ["throw", undefined, "thrown on purpose"],
])("a thread that dies of %s fails its task and is started again", async (name, params, error) => {
  silence("error");
  const manager = manageTasks();
  const [worker] = manageThreads(manager, quick).workers;
  const first = await respond(manager, "thread");
  const response = await respond(manager, name, params);
  expect(response.error).toContain(error);
  expect(response.workerId).toBe(worker!.id);
  expect(worker!.status).toBe("offline");
  const second = await respond(manager, "thread");
  expect(second.content).not.toBe(first.content);
  expect(second.workerId).toBe(first.workerId);
});

test("a thread that throws after its answer", async () => {
  silence("error");
  const manager = manageTasks();
  const [worker] = manageThreads(manager, quick).workers;
  expect(await respond(manager, "throwLate", 7)).toMatchObject({ content: 7 });
  await reached(manager, worker!, "offline");
  expect(worker!.error).toBe(`Failed to load worker script: ${script("actions.cjs")}`);
  expect(await respond(manager, "echo", 8)).toMatchObject({ content: 8 });
});

test("restart: false closes the worker", async () => {
  const manager = manageTasks();
  const [worker] = manageThreads(manager, { restart: false }).workers;
  expect(await respond(manager, "exit", 0)).toMatchObject({
    error: `Worker ${worker!.id} exited with code 0`,
  });
  await reached(manager, worker!, "closed");
});

test.each([["broken.cjs"], ["no-such-file.cjs"]])("a script that does not load: %s", async (name) => {
  const log = silence("error");
  const manager = manageTasks();
  const [worker] = manageThreads(manager, { script: script(name) }).workers;
  const { content } = await nextMessage(manager, ({ message }) => message === "worker-updated");
  const error = `Failed to load worker script: ${script(name)}`;
  expect(content).toEqual({ new: worker, error });
  expect(worker).toMatchObject({ error, status: "closed" });
  expect(log).toHaveBeenCalledWith("Worker script failed to load:", script(name), expect.anything());
});

test("a script that is never ready gets no task, and the others do", async () => {
  const manager = manageTasks();
  const [silent] = manageThreads(manager, { script: script("never-ready.cjs") }, {}).workers;
  for (let params = 0; params < 5; params++)
    expect(await respond(manager, "echo", params)).toMatchObject({ content: params });
  expect(silent!.status).toBe("offline");
});

test("garbage, double answers and wrong ids", async () => {
  const log = silence("log");
  const manager = manageTasks();
  const [worker] = manageThreads(manager).workers;
  const calls: unknown[] = [];
  manager.addTask({
    name: "hostile",
    params: 1,
    onSuccess: (response) => calls.push(response),
    onError: (response) => calls.push(response),
  });
  expect(await respond(manager, "echo", 2)).toMatchObject({ content: 2 });
  expect(calls).toEqual([expect.objectContaining({ content: "first", workerId: worker!.id })]);
  expect(log).toHaveBeenCalled();
});

test("a timeout ends a busy loop", async () => {
  const manager = manageTasks();
  manageThreads(manager);
  const { error, taskId } = await respond(manager, "spin", undefined, { timeout: 50 });
  expect(error).toBe(`Task ${taskId} timed out after 50 ms`);
  expect(await respond(manager, "echo", 1)).toMatchObject({ content: 1 });
});

test("a signal ends a busy loop", async () => {
  const manager = manageTasks();
  manageThreads(manager);
  const controller = new AbortController();
  const ended = respond(manager, "spin", undefined, { signal: controller.signal });
  await nextMessage(
    manager,
    ({ message, content }) => message === "worker-updated" && content.new?.status === "working",
  );
  controller.abort();
  expect((await ended).error).toContain("was aborted");
  expect(await respond(manager, "echo", 1)).toMatchObject({ content: 1 });
});

test("transfer moves, both ways", async () => {
  const manager = manageTasks();
  manageThreads(manager);
  const buffer = new ArrayBuffer(16);
  const response = await respond(manager, "bytes", buffer, { transfer: [buffer] });
  expect(buffer.byteLength).toBe(0);
  expect(response.content.byteLength).toBe(16);
});

test("count makes so many threads", async () => {
  const manager = manageTasks();
  const { workers } = manageThreads(manager, { count: 3 });
  expect(workers).toHaveLength(3);
  const threads = await Promise.all([1, 2, 3].map(() => respond(manager, "thread")));
  expect(new Set(threads.map(({ workerId }) => workerId)).size).toBeGreaterThan(0);
  await Promise.all(workers.map((worker) => reached(manager, worker, "available")));
});

test.each([
  ["a module", { script: script("module.mjs") }],
  ["a URL", { script: pathToFileURL(script("module.mjs")) }],
  ["the text of a URL", { script: pathToFileURL(script("module.mjs")).href }],
  ["a thread that the program makes", { create: () => new Worker(script("module.mjs")) }],
])("a script from %s", async (_, config) => {
  const manager = manageTasks();
  manageThreads(manager, config as never);
  expect(await respond(manager, "echo")).toMatchObject({ content: pathToFileURL(script("module.mjs")).href });
});

test("create is called again for a restart", async () => {
  const create = jest.fn(() => new Worker(script("actions.cjs")));
  const manager = manageTasks();
  manageThreads(manager, { create: create as never, ...quick });
  await respond(manager, "exit", 1);
  await respond(manager, "echo", 1);
  expect(create).toHaveBeenCalledTimes(2);
});

test("Node has no option for the kind of a script", () => {
  expect(
    () => new ServerWorkerManager({ configs: [{ script: script("module.mjs"), type: "module" }] }),
  ).toThrow("Node tells the kind of a script by its file");
});

test("20,000 tasks take linear time, each one once", async () => {
  const manager = manageTasks();
  manageThreads(manager, { count: 2 });
  const timeOf = async (count: number): Promise<number> => {
    const began = performance.now();
    const results = await Promise.all(
      Array.from({ length: count }, (_, params) => manager.run<number>({ name: "echo", params })),
    );
    expect(results).toEqual(Array.from({ length: count }, (_, params) => params));
    return performance.now() - began;
  };
  await timeOf(2000);
  const few = await timeOf(2500);
  const many = await timeOf(20_000);
  // Eight times as many. What takes the square of the number takes 64 times as long.
  expect(many / few).toBeLessThan(24);
});

test("an idle program ends by itself, and one with tasks does not", async () => {
  const { execFile } = await import("node:child_process");
  const source = `
    const { TaskManager, ServerWorkerManager } = require(${JSON.stringify(require.resolve("../../tasks.js"))});
    const manager = new TaskManager();
    new ServerWorkerManager({ manager, configs: [{ tasks: ${JSON.stringify(ACTIONS)}, script: ${JSON.stringify(script("actions.cjs"))} }] });
    manager.addTask({ name: "echo", params: 1, onSuccess: ({ content }) => console.log(content) });
    manager.addTask({ name: "echo", params: 2, onSuccess: ({ content }) => console.log(content) });
    process.on("exit", () => console.log(Object.keys(require.cache).filter((path) => /binding\\.js$|\\.node$/.test(path))));`;
  const output = await new Promise((resolve) => {
    execFile(process.execPath, ["-e", source], (_, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
  // The add-on was not loaded either.
  expect(output).toBe("1\n2\n[]\n");
});
