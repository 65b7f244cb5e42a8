/** What went wrong, for programs. */
export type TaskErrorCode =
  "INVALID_OPTION" | "MANAGER_ALREADY_ASSIGNED" | "MANAGER_CLOSED" | "TASK_DELETED" | "TASK_FAILED";

/** An error of a task, or of the call that made it. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  readonly code: TaskErrorCode;
  /** The task that failed. */
  readonly taskId?: string;
  /** The worker that ran it. */
  readonly workerId?: string;

  constructor(message: string, code: TaskErrorCode, ids: { taskId?: string; workerId?: string } = {}) {
    super(message);
    this.code = code;
    if (ids.taskId !== undefined) this.taskId = ids.taskId;
    if (ids.workerId !== undefined) this.workerId = ids.workerId;
  }
}
