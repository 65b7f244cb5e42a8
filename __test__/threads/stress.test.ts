import { setImmediate as nextTurn } from "node:timers/promises";
import { manage, rejection, script, shutdownAll } from "./harness";

afterEach(shutdownAll);

/** Numbers that look random and are the same in each run (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const TASKS = 50_000;

test("50,000 tasks with crashes, timeouts, cancels and throwing callbacks have one outcome each", async () => {
  const random = randomNumbers(12);
  const manager = manage({
    minWorkers: 2,
    maxWorkers: 3,
    maxTaskQueueSize: TASKS,
    maxRetries: 1,
    retryDelay: 1,
    taskTimeout: 60_000,
    maxTasksPerWorker: 0,
    workerRecycleThreshold: 5000,
    maxWorkerMemory: 48 * 1024 * 1024,
    historySize: TASKS,
    handlers: { CUSTOM: script("actions.cjs") },
  });
  const outcomes = new Map<string, number>();
  const events = { completed: 0, failed: 0, cancelled: 0, timedOut: 0, errors: 0, throws: 0 };
  manager.on("taskCompleted", () => events.completed++);
  manager.on("taskFailed", () => {
    events.failed++;
    if (random() < 0.3) {
      events.throws++;
      throw new Error("a listener");
    }
  });
  manager.on("taskCancelled", () => events.cancelled++);
  manager.on("error", ({ type }) => {
    if (type === "callback_error") events.errors++;
  });
  const cancels: Promise<boolean>[] = [];
  const submit = async (): Promise<void> => {
    const { payload, options } = randomTask(random());
    const id: string = await manager.submitTask(
      "CUSTOM",
      payload,
      () => {
        outcomes.set(id, (outcomes.get(id) ?? 0) + 1);
        if (random() < 0.01) {
          events.throws++;
          throw new Error("a callback");
        }
      },
      options,
    );
    if (random() < 0.02) cancels.push(manager.cancelTask(id));
  };
  for (let count = 0; count < TASKS; count++) {
    await submit();
    // Threads get a chance to be in the middle of something.
    if (count % 500 === 0) await nextTurn();
  }
  await manager.onIdle();
  const cancelled = (await Promise.all(cancels)).filter(Boolean).length;

  expect(outcomes.size).toBe(TASKS);
  expect([...outcomes.values()].every((count) => count === 1)).toBe(true);
  const metrics = manager.getMetrics();
  expect(metrics).toMatchObject({
    pendingTasks: 0,
    runningTasks: 0,
    blockedTasks: 0,
    completedTasks: events.completed,
    failedTasks: events.failed,
    cancelledTasks: events.cancelled,
  });
  expect(metrics.completedTasks + metrics.failedTasks + metrics.cancelledTasks).toBe(TASKS);
  expect(events.cancelled).toBe(cancelled);
  expect(events.errors).toBe(events.throws);
  expect(metrics.timedOutTasks).toBeGreaterThan(0);
  await manager.shutdown();
  expect(manager.getWorkerStatus()).toEqual([]);
}, 180_000);

function randomTask(dice: number): { payload: object; options?: { timeout: number } } {
  if (dice < 0.0006) return { payload: { action: "exit" } };
  if (dice < 0.0008) return { payload: { action: "throwLate" } };
  if (dice < 0.0009) return { payload: { action: "allocate" } };
  if (dice < 0.0014) return { payload: { action: "spin" }, options: { timeout: 20 } };
  if (dice < 0.0018) return { payload: { action: "never" }, options: { timeout: 20 } };
  if (dice < 0.02) return { payload: { action: "fail" } };
  return { payload: { action: "echo", value: dice } };
}

test("a task that depends on a task of a crashed worker fails with it", async () => {
  const manager = manage({ minWorkers: 1, maxRetries: 0, handlers: { CUSTOM: script("actions.cjs") } });
  const id = await manager.submitTask("CUSTOM", { action: "exit" });
  const error = await rejection(manager.run("CUSTOM", { action: "echo" }, { dependencies: [id] }));
  expect(error).toMatchObject({ code: "DEPENDENCY_FAILED", cause: { code: "WORKER_CRASHED" } });
});
