/* The quick start of the seed, with the worker that Vite makes. */
import MathWorker from "./math-worker.js?worker";
import { BrowserWorkerManager, TaskManager } from "@hardlydifficult/worker-server/tasks/browser";

const taskManager = new TaskManager();

const workerManager = new BrowserWorkerManager({
  manager: taskManager,
  configs: [
    {
      tasks: ["add", "multiply", "fibonacci"],
      create: () => new MathWorker(),
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
