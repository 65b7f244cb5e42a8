"use strict";

// A handler that does what its payload says.
const { threadId, workerData } = require("node:worker_threads");

const actions = {
  echo: ({ value }) => value,
  context: (_payload, context) => ({
    taskId: context.taskId,
    taskType: context.taskType,
    metadata: context.metadata,
    attempt: context.attempt,
    dependencyResults: context.dependencyResults,
  }),
  thread: () => threadId,
  workerData: () => workerData,
  env: ({ name }) => process.env[name],
  fail: ({ message = "failed on purpose", name, code }) => {
    const error = Object.assign(new Error(message), code === undefined ? {} : { code });
    if (name !== undefined) error.name = name;
    throw error;
  },
  reject: async ({ value }) => {
    throw value;
  },
  failUntil: ({ attempt }, context) => {
    if (context.attempt < attempt) throw new Error(`attempt ${context.attempt}`);
    return context.attempt;
  },
  exit: ({ code = 3 }) => process.exit(code),
  throwLate: () =>
    new Promise(() => {
      setImmediate(() => {
        throw new Error("thrown outside of the task");
      });
    }),
  spin: () => {
    for (;;);
  },
  regex: () => /^(?:a+)+$/.test(`${"a".repeat(64)}!`),
  atomicsWait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  never: () => new Promise(() => {}),
  untilAborted: (_payload, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    }),
  resultOnAbort: (_payload, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve("made it"));
    }),
  allocate: () => {
    const kept = [];
    for (;;) kept.push(Array.from({ length: 1e5 }, () => kept.length));
  },
  grow: ({ megabytes }) => {
    globalThis.kept ??= [];
    for (let count = 0; count < megabytes; count++)
      globalThis.kept.push(Array.from({ length: 131_072 }, () => count));
    return globalThis.kept.length;
  },
  progress: ({ values }, context) => {
    for (const value of values) context.progress(value);
    return values.length;
  },
  lateProgress: (_payload, context) => {
    const report = () => {
      context.progress(99);
      setImmediate(report);
    };
    setImmediate(report);
  },
  turns: ({ turns }) =>
    new Promise((resolve) => {
      const turn = (left) => (left === 0 ? resolve(turns) : setImmediate(turn, left - 1));
      turn(turns);
    }),
  length: ({ value }) => value.length,
  slowProgress: ({ flags, values }, context) => {
    // Waits after each value until the test has seen it.
    values.forEach((value, index) => {
      context.progress(value);
      Atomics.wait(flags, index, 0);
    });
    return "done";
  },
  waitFor: ({ flag }) => {
    Atomics.wait(flag, 0, 0);
    return Atomics.load(flag, 0);
  },
  waitAndFail: ({ flag }) => {
    Atomics.wait(flag, 0, 0);
    throw new Error("failed after the wait");
  },
  started: ({ flags }) => {
    Atomics.store(flags, 0, 1);
    Atomics.notify(flags, 0);
    Atomics.wait(flags, 1, 0);
    return "done";
  },
  transferBack: ({ bytes }, context) => {
    const buffer = new ArrayBuffer(bytes);
    return context.transfer({ buffer }, [buffer]);
  },
  unsendable: () => () => {},
  shared: ({ flag }) => ({ flag }),
};

function run(payload, context) {
  return actions[payload.action](payload, context);
}

module.exports = run;
module.exports.named = (payload) => ({ named: payload });
