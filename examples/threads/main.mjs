/*
 * Tasks on worker threads: a handler module, progress, priorities, a dependency, and a native task.
 *
 *   node examples/threads/main.mjs
 */
import { fileURLToPath } from "node:url";
import { TaskPriority, WorkerTaskType, createWorkerManager } from "worker-server-native/threads";

const manager = createWorkerManager({
  minWorkers: 2,
  maxWorkers: 4,
  handlers: { CUSTOM: fileURLToPath(new URL("count-words.mjs", import.meta.url)) },
});

manager.on("taskProgress", ({ task, progress }) => console.log(`${task.id}: ${progress} %`));
manager.on("taskFailed", ({ task }) => console.error(`${task.id} failed:`, task.error.message));

const texts = ["to be or not to be", "the rest is silence", "brevity is the soul of wit"];

// Each text is counted on a thread; the most urgent one is first in the queue.
const ids = await Promise.all(
  texts.map((text, index) =>
    manager.submitTask(WorkerTaskType.CUSTOM, { text }, null, {
      priority: index === 2 ? TaskPriority.HIGH : TaskPriority.NORMAL,
    }),
  ),
);

// This task starts when all counts are there, and gets them.
const { result } = await manager.run(
  WorkerTaskType.COMPUTATION,
  { computation: "merge_results" },
  { dependencies: ids, passDependencyResults: true },
);
const words = result.results.reduce((sum, count) => sum + count, 0);
console.log(`${words} words in ${result.count} texts`);

// Compression runs in Rust, on no thread of JavaScript.
const { size, originalSize } = await manager.run(WorkerTaskType.COMPRESSION, {
  data: texts.join("\n").repeat(1000),
  algorithm: "zstd",
});
console.log(`${originalSize} bytes became ${size < originalSize ? "fewer" : "more"}`);

console.log(`${manager.getMetrics().completedTasks} tasks completed`);
await manager.shutdown();
