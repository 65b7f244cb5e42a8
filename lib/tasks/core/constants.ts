/** Names of the messages between the task manager, the worker managers and the workers. */
export const TASK_MESSAGES = {
  /** A task was added. Content: the task. */
  NEW_TASK: "new-task",
  /** A worker asks for a task. */
  TASK_CLAIM: "task-claim",
  /** Fields of a task changed. Content: `{ old, new }`. */
  TASK_UPDATED: "task-updated",
  /** A task left the task manager. */
  TASK_DELETED: "task-deleted",
  /** Host to worker script: its id, and the names of its tasks as content. */
  INIT_WORKER: "init-worker",
  /** Worker script to host, and then to subscribers: the worker takes tasks. */
  WORKER_READY: "worker-ready",
  /** The status or the error of a worker changed. */
  WORKER_UPDATED: "worker-updated",
  /** A task was given to the worker that claimed it. Content: the task. */
  TASK_CLAIM_GRANTED: "task-claim-granted",
  /** Reserved. */
  START_TASK: "start-task",
  /** A worker gives back a task that it cannot start. */
  RELEASE_CLAIM: "release-claim",
  /** A queued task may be claimed. Content: the task. */
  TASK_AVAILABLE: "task-available",
  /** Host to worker script: run the task of the content. */
  WORKER_WORK: "worker-work",
  /** Worker script to host, and then to subscribers: the result or the error of a task. */
  WORKER_RESPONSE: "worker-response",
} as const;

/** Statuses of a worker. */
export const WORKER_STATUS = {
  /** Takes tasks. */
  AVAILABLE: "available",
  /** Runs a task. */
  WORKING: "working",
  /** Starts, or waits to be started again. */
  OFFLINE: "offline",
  /** Was closed, or its script failed for good. */
  CLOSED: "closed",
} as const;

/** Statuses of a task. */
export const TASK_STATUS = {
  /** Waits for a worker. */
  NEW: "new",
  /** Is given to a worker. */
  WORKING: "working",
  /** Failed. */
  FAILED: "failed",
  /** Succeeded. */
  DONE: "done",
  /** For programs that set it by `updateTask`. */
  ACTIVE: "active",
} as const;

export type TaskStatusKey = keyof typeof TASK_STATUS;
export type TaskStatusValue = (typeof TASK_STATUS)[TaskStatusKey];
export type WorkerStatusKey = keyof typeof WORKER_STATUS;
export type WorkerStatusValue = (typeof WORKER_STATUS)[WorkerStatusKey];
