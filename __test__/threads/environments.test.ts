import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { act, manageActions, nextEvent, rejection, script, shutdownAll } from "./harness";

const PACKAGE = require.resolve("../../threads.js");

afterEach(shutdownAll);

/** A thread with a manager of its own. */
const MANAGING_THREAD = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { createWorkerManager } = require(workerData.package);
  const manager = createWorkerManager({ minWorkers: 1, maxWorkers: 2, handlers: { CUSTOM: workerData.handler } });
  const run = (value) => manager.run("CUSTOM", { action: "echo", value: [workerData.name, value] });
  Promise.all(Array.from({ length: 200 }, (_, value) => run(value))).then(async (results) => {
    await manager.shutdown();
    parentPort.postMessage(results);
  });
`;

function startThread(name: string): Worker {
  return new Worker(MANAGING_THREAD, {
    eval: true,
    workerData: { package: PACKAGE, handler: script("actions.cjs"), name },
  });
}

test("managers in five threads at once do not disturb each other", async () => {
  const names = ["a", "b", "c", "d", "e"];
  await Promise.all(
    names.map(async (name) => {
      const thread = startThread(name);
      const exited = once(thread, "exit");
      const [results] = (await once(thread, "message")) as [unknown[]];
      expect(results).toEqual(Array.from({ length: 200 }, (_, value) => [name, value]));
      // The thread ends by itself.
      expect((await exited)[0]).toBe(0);
    }),
  );
});

test("a thread that is ended takes its manager's threads with it", async () => {
  const thread = new Worker(
    `
    const { parentPort, workerData } = require("node:worker_threads");
    const { createWorkerManager } = require(workerData.package);
    const manager = createWorkerManager({ minWorkers: 2, handlers: { CUSTOM: workerData.handler } });
    manager.run("CUSTOM", { action: "spin" });
    manager.on("taskAssigned", () => parentPort.postMessage("running"));
  `,
    { eval: true, workerData: { package: PACKAGE, handler: script("actions.cjs") } },
  );
  await once(thread, "message");
  expect(await thread.terminate()).toBe(1);
});

describe("with fake timers", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test("tasks run, and timeouts follow the fake clock", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask"] });
    const manager = manageActions({ maxRetries: 1, retryDelay: 3_600_000 });
    expect(await act(manager, "echo", { value: 1 })).toBe(1);
    const stuck = rejection(act(manager, "spin", {}, { timeout: 7_200_000 }));
    await nextEvent(manager, "taskAssigned");
    jest.advanceTimersByTime(7_100_000);
    expect(manager.getTask("task-2")?.status).toBe("RUNNING");
    const retry = nextEvent(manager, "taskRetry");
    // The tasks' own time passes as well, so some more is needed than what is missing.
    jest.advanceTimersByTime(200_000);
    await retry;
    const second = nextEvent(manager, "taskAssigned");
    jest.advanceTimersByTime(3_700_000);
    await second;
    jest.advanceTimersByTime(7_300_000);
    expect(await stuck).toMatchObject({ code: "TASK_TIMEOUT" });
    const { createdAt = 0, completedAt = 0 } = manager.getTask("task-2") ?? {};
    expect(completedAt - createdAt).toBeGreaterThanOrEqual(2 * 7_200_000);
  });

  test("timeouts that were set before they ended still come", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask"] });
    const manager = manageActions({ maxRetries: 0, minWorkers: 2, maxWorkers: 2 });
    const stuck = rejection(act(manager, "spin", {}, { timeout: 30 }));
    await nextEvent(manager, "taskAssigned");
    jest.useRealTimers();
    // Any later task sets a timer on the real clock.
    while (manager.getTask("task-1")?.status === "RUNNING") await act(manager, "echo");
    expect(await stuck).toMatchObject({ code: "TASK_TIMEOUT" });
  });
});
