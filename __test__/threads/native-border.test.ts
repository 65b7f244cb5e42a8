/*
 * The functions of a thread pool called directly, as its facade never would: nothing that JavaScript can pass may touch
 * memory that is not theirs, end the process or confuse a pool.
 */

type Native = typeof import("../../native/binding.js");

const binding: Native = require("../../native/binding.js");
const raw = binding as unknown as Record<string, (...args: unknown[]) => unknown>;

const functions = [
  "submitTask",
  "pendingTasks",
  "readyTasks",
  "addSlot",
  "retireSlot",
  "loseSlot",
  "cancelTask",
  "failPendingTask",
  "setPoolPaused",
  "setAnnouncesAssignments",
  "setKeepAlive",
  "poolNow",
  "tendPool",
  "poolMetrics",
  "takeActions",
  "takeTask",
  "taskExtra",
  "finishTask",
  "reportProgress",
];

const options = {
  isLifo: false,
  priorityAging: 0,
  maxRetryDelay: 1000,
  retryJitter: 0,
  retryOnError: true,
  retryOnTimeout: true,
  retryOnCrash: true,
  maxTaskQueueSize: 100,
  runAfterFailedDependency: false,
  maxTasksPerWorker: 0,
  workerRecycleThreshold: 0,
  minWorkers: 1,
  maxWorkers: 2,
  scaleUpThreshold: 0.7,
  scaleDownThreshold: 0.3,
  scaleUpCooldown: 0,
  scaleDownCooldown: 0,
  workerIdleTimeout: 1000,
};

const odd = [
  undefined,
  null,
  true,
  "",
  "text",
  "\ud800",
  -1,
  0.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 32,
  2 ** 53,
  10n,
  Symbol("x"),
  {},
  [],
  new Uint8Array(16),
  new Uint8Array(0),
  new Float64Array(0),
  new Float64Array(1),
  new Float64Array(3),
  Float64Array.of(NaN, Infinity, -1, 2 ** 53, -Infinity, NaN, 300, -1, 7, 8),
  new Float32Array(32),
  new DataView(new ArrayBuffer(8)),
];

/** Runs one empty task through the pool by hand. */
function runOne(pool: number): unknown {
  const slot = binding.addSlot(pool, 1)!;
  const numbers = Float64Array.of(0, 1, 1000, 0, 0, 41, 7, 0, 0);
  const task = binding.submitTask(pool, numbers, 1, '{"n":1}', undefined, undefined);
  const taken = new Float64Array(7);
  const payload = binding.takeTask(pool, slot, taken);
  binding.finishTask(pool, slot, task, 1, '{"n":2}', 0);
  const records = new Float64Array(1 + 8 * 64);
  const results: unknown[] = [];
  while ((results.push(...(binding.takeActions(pool, records) ?? [])), records[0] !== 0));
  binding.loseSlot(pool, slot);
  return [taken[0] === task, taken[1], payload, results];
}

describe.each(functions)("%s", (name) => {
  test("takes any value in any place without harm", () => {
    const pool = new binding.NativeThreadPool(options, () => {});
    const { number } = pool;
    const call = raw[name]!;
    for (const value of odd)
      for (const args of [
        [value],
        [number, value],
        [number, value, value, value, value, value, value],
        [number, 0, value, value, value, value],
        [number, new Float64Array(9), value, value, value, value],
        [number, new Float64Array(9), 1, "1", value, value],
        [number, new Float64Array(9), 4, new Uint8Array(4), value, value],
        [number, 0, 0, value, value, value],
      ]) {
        const result = call(...args);
        expect(["undefined", "boolean", "number", "string", "object"]).toContain(typeof result);
      }
    pool.close();
    call(number, 0, 0, 0, 0, 0);
    pool.close();
    expect(call(4_000_000_000, 0, 0, 0, 0, 0)).toBeUndefined();
  });
});

test("a pool works after all of that", () => {
  const pool = new binding.NativeThreadPool(options, () => {});
  for (const name of functions)
    if (name !== "submitTask") for (const value of odd) raw[name]!(pool.number, value, value, value, value);
  binding.setPoolPaused(pool.number, false);
  expect(runOne(pool.number)).toEqual([true, 41, '{"n":1}', ['{"n":2}']]);
  pool.close();
});

test("an option of a wrong type is an exception", () => {
  expect(() => new binding.NativeThreadPool({ ...options, isLifo: "no" as never }, () => {})).toThrow(
    "isLifo",
  );
  expect(() => new binding.NativeThreadPool(options, 1 as never)).toThrow();
  expect(binding.NativeThreadPool.attach(4_000_000_000, 0, () => {})).toBe(false);
});
