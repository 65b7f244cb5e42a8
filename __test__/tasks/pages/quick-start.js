/* The quick start of the seed, with a worker that bundlers find. */
import { BrowserWorkerManager, TaskManager } from "@hardlydifficult/worker-server/tasks/browser";

const taskManager = new TaskManager();

const workerManager = new BrowserWorkerManager({
  manager: taskManager,
  configs: [
    {
      tasks: ["add", "multiply", "fibonacci"],
      create: () => new Worker(new URL("./math-worker.js", import.meta.url), { type: "module" }),
    },
  ],
});

globalThis.results = new Promise((resolve) => {
  const results = [];
  const onSuccess = (result) => {
    if (results.push(result.content) === 2) resolve(results);
  };
  taskManager.addTask({ name: "fibonacci", params: { n: 20 }, onSuccess, onError: onSuccess });
  taskManager.addTask({ name: "add", params: { a: 10, b: 20 }, onSuccess });
});

window.addEventListener("beforeunload", () => {
  workerManager.close();
  taskManager.close();
});
