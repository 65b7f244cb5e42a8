/* A page without a framework. With Vite: npx vite examples/tasks/browser */
import { BrowserWorkerManager, TaskManager } from "worker-server-native/tasks/browser";

const taskManager = new TaskManager();
const workerManager = new BrowserWorkerManager({
  manager: taskManager,
  configs: [
    {
      tasks: ["fibonacci"],
      count: 2,
      create: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
    },
  ],
});

for (const n of [10, 20, 30])
  taskManager.addTask({
    name: "fibonacci",
    params: { n },
    onSuccess: ({ content }) => show(`fibonacci(${n}) is ${content}`),
    onError: ({ error }) => show(`fibonacci(${n}) failed: ${error}`),
  });

function show(text) {
  const item = document.createElement("li");
  item.textContent = text;
  document.querySelector("#results").append(item);
}

window.addEventListener("beforeunload", () => {
  workerManager.close();
  taskManager.close();
});
