export { TASK_MESSAGES, TASK_STATUS, WORKER_STATUS } from "../dist/tasks/core/constants.js";
export { Message } from "../dist/tasks/core/message.js";
export { TaskError } from "../dist/tasks/core/task-error.js";
export { TaskManager } from "../dist/tasks/core/task-manager.js";
export { TaskRequest } from "../dist/tasks/core/task-request.js";
export { ServerTaskWorker } from "../dist/tasks/server/server-task-worker.js";
export { ServerWorkerManager } from "../dist/tasks/server/server-worker-manager.js";
export type {
  TaskStatusKey,
  TaskStatusValue,
  WorkerStatusKey,
  WorkerStatusValue,
} from "../dist/tasks/core/constants.js";
export type { TaskErrorCode } from "../dist/tasks/core/task-error.js";
export type {
  ITaskParams,
  MessageIF,
  MessageParams,
  RestartOptions,
  TaskIF,
  TaskManagerIF,
  TaskManagerOptions,
  TaskStatusSummary,
  TaskWorkerIF,
  ThreadLike,
  WebWorkerLike,
  WorkerConfig,
} from "../dist/tasks/core/types.js";
export type { ServerTaskWorkerIF, ServerWorkerManagerIF } from "../dist/tasks/server/server-task-worker.js";
