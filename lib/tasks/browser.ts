/* What the ES module for browsers exports; it becomes one file (scripts/lib/builds.mjs). */
export { BrowserTaskWorker } from "./browser/browser-task-worker.js";
export { BrowserWorkerManager } from "./browser/browser-worker-manager.js";
export { TASK_MESSAGES, TASK_STATUS, WORKER_STATUS } from "./core/constants.js";
export { Message } from "./core/message.js";
export { TaskError } from "./core/task-error.js";
export { TaskManager } from "./core/task-manager.js";
export { TaskRequest } from "./core/task-request.js";
