import type { ManagerContext } from "./context.js";
import { TaskStatus, WorkerState } from "./enums.js";
import { isSettled, Task, tellOutcome } from "./task.js";
import type { WorkerInfo } from "./types.js";

/** Stands in for the worker of a task that never ran. */
export const NO_WORKER: WorkerInfo = Object.freeze({
  id: "none",
  state: WorkerState.TERMINATED,
  currentTask: null,
  tasksCompleted: 0,
  tasksFailed: 0,
  isHealthy: false,
  online: false,
  threadId: -1,
  createdAt: 0,
  lastHeartbeat: 0,
  memoryUsed: 0,
  cpuUtilization: 0,
});

/** A task's outcome. */
export interface Settlement {
  readonly status: TaskStatus;
  readonly at: number;
  readonly error?: Error;
  readonly result?: unknown;
  readonly resultBytes?: number;
  readonly worker: WorkerInfo | undefined;
}

/** Gives tasks their outcomes: fields first, then the callback, then events. Each task has one outcome. */
export function settle(context: ManagerContext, task: Task, settlement: Settlement): void {
  if (isSettled(task)) return;
  const { status, at, error, result, worker, resultBytes = 0 } = settlement;
  task.status = status;
  task.completedAt = Math.max(at, task.startedAt, task.createdAt);
  if (error !== undefined) task.error = error;
  else task.result = result;
  context.tasks.settle(task, Task.payloadBytesOf(task) + resultBytes);
  callBack(context, task);
  const known = worker ?? NO_WORKER;
  switch (status) {
    case TaskStatus.COMPLETED:
      context.notify("taskCompleted", { task, worker: known });
      break;
    case TaskStatus.CANCELLED:
      context.notify("taskCancelled", { task, worker: worker ?? null });
      break;
    case TaskStatus.TIMEOUT:
      context.notify("taskTimeout", { task, worker: known });
      context.notify("taskFailed", { task, worker: known });
      break;
    default:
      context.notify("taskFailed", { task, worker: known });
  }
}

function callBack(context: ManagerContext, task: Task): void {
  const { callback, waiters } = Task.takeCallbacks(task);
  if (callback !== undefined) {
    try {
      tellOutcome(task, callback);
    } catch (thrown) {
      context.reportCallbackError(thrown, task);
    }
  }
  for (const waiter of waiters) tellOutcome(task, waiter);
}
