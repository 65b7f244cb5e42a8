export { defaultConfig } from "./dist/threads/config.js";
export {
  TaskPriority,
  TaskStatus,
  WorkerMessageType,
  WorkerState,
  WorkerTaskType,
} from "./dist/threads/enums.js";
export { OrchestrationError, ValidationError, WorkerError } from "./dist/threads/errors.js";
export { WorkerManager, createWorkerManager } from "./dist/threads/manager.js";
export type { ErrorSeverity, WorkerErrorCode } from "./dist/threads/errors.js";
export type { Handler, HandlerContext } from "./dist/threads/runtime/handler.js";
export type {
  DurationPercentiles,
  HandlerModule,
  ManagerErrorEvent,
  ShutdownOptions,
  TaskCallback,
  TaskOptions,
  TaskTypeName,
  WorkerInfo,
  WorkerManagerConfig,
  WorkerManagerEvents,
  WorkerMetrics,
  WorkerTask,
} from "./dist/threads/types.js";
