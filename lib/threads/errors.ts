/** How bad an error is. */
export type ErrorSeverity = "low" | "medium" | "high" | "critical";

/** An error of the worker manager. */
export class OrchestrationError extends Error {
  override readonly name: string = "OrchestrationError";
  /** What went wrong, for programs. */
  readonly code: string;
  readonly severity: ErrorSeverity;
  /** Whether the same call may succeed later. */
  readonly recoverable: boolean;
  readonly details?: unknown;
  /** When the error was made. */
  readonly timestamp: Date = new Date();

  constructor(
    message: string,
    code: string,
    severity: ErrorSeverity = "medium",
    recoverable = true,
    details?: unknown,
  ) {
    super(message);
    this.code = code;
    this.severity = severity;
    this.recoverable = recoverable;
    if (details !== undefined) this.details = details;
  }
}

/** An argument or option is not valid. Its code is `VALIDATION_ERROR`. */
export class ValidationError extends OrchestrationError {
  override readonly name = "ValidationError";
  /** Name of the argument or option. */
  readonly field: string;
  readonly value?: unknown;

  constructor(message: string, field: string, value?: unknown) {
    super(message, "VALIDATION_ERROR");
    this.field = field;
    if (value !== undefined) this.value = value;
  }
}

/** Codes of a {@link WorkerError}. */
export type WorkerErrorCode =
  | "DEPENDENCY_FAILED"
  | "MANAGER_SHUTDOWN"
  | "QUEUE_FULL"
  | "TASK_CANCELLED"
  | "TASK_TIMEOUT"
  | "UNKNOWN_DEPENDENCY"
  | "UNKNOWN_TASK"
  | "WORKER_CRASHED"
  | "WORKER_HEALTH_FAILED"
  | "WORKER_UNAVAILABLE";

const recoverable: ReadonlySet<WorkerErrorCode> = new Set(["TASK_TIMEOUT", "WORKER_UNAVAILABLE"]);

/** A task or a worker failed. */
export class WorkerError extends OrchestrationError {
  override readonly name = "WorkerError";
  readonly workerId?: string;
  readonly taskId?: string;

  constructor(message: string, code: WorkerErrorCode, workerId?: string, taskId?: string, cause?: unknown) {
    super(message, code, "high", recoverable.has(code));
    if (workerId !== undefined) this.workerId = workerId;
    if (taskId !== undefined) this.taskId = taskId;
    if (cause !== undefined) this.cause = cause;
  }
}
