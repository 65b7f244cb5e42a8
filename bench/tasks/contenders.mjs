/*
 * Two threads (or so many) with worker.cjs. Each contender offers `run(params, done)`, and `subscribe` where there are
 * messages to subscribe to.
 */
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { inProject } from "../../scripts/lib/project.mjs";

const require = createRequire(import.meta.url);
const script = inProject("bench/tasks/worker.cjs");

async function managed({ TaskManager, ServerWorkerManager }, threads) {
  const manager = new TaskManager();
  const tasks = ["empty"];
  const ready = new Promise((resolve) => {
    let left = threads;
    manager.events$.subscribe(({ message }) => {
      if (message === "worker-ready" && --left === 0) resolve();
    });
  });
  const workers = new ServerWorkerManager({
    manager,
    configs: Array.from({ length: threads }, () => ({ tasks, script })),
  });
  await ready;
  return {
    workers,
    run: (params, done) => manager.addTask({ name: "empty", params, onSuccess: done, onError: done }),
    subscribe: (listener) => manager.events$.subscribe(listener),
  };
}

export const contenders = {
  ours: (threads) => managed(require(inProject("tasks.js")), threads),
  peer: (threads) => managed(require(inProject("bench/peer/tasks.cjs")), threads),

  /** The same messages by hand: a thread gets its next task when it has answered. No events, no errors, no ids. */
  async raw(threads) {
    const queue = [];
    const idle = [];
    const next = (thread) => {
      const task = queue[first];
      if (task === undefined) {
        idle.push(thread);
        return;
      }
      queue[first++] = undefined;
      thread.done = task.done;
      thread.worker.postMessage({
        message: "worker-work",
        taskId: String(first),
        content: { id: String(first), name: "empty", params: task.params, status: "working" },
        workerId: thread.id,
      });
    };
    let first = 0;
    await Promise.all(
      Array.from({ length: threads }, (_, index) => {
        const thread = { worker: new Worker(script), id: String(index), done: undefined };
        return new Promise((resolve) => {
          thread.worker.on("message", (message) => {
            if (message.message === "worker-ready") resolve();
            else thread.done(message);
            next(thread);
          });
          thread.worker.postMessage({ message: "init-worker", id: thread.id, content: ["empty"] });
        });
      }),
    );
    return {
      run(params, done) {
        queue.push({ params, done });
        if (idle.length > 0) next(idle.pop());
      },
    };
  },
};
