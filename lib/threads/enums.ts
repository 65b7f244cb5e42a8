/** Kinds of tasks. Names are accepted in upper and lower case. */
export enum WorkerTaskType {
  /** General data processing. */
  DATA_PROCESSING = "DATA_PROCESSING",
  /** Resizing and converting images. */
  IMAGE_MANIPULATION = "IMAGE_MANIPULATION",
  /** Compressing and decompressing data. */
  COMPRESSION = "COMPRESSION",
  /** Encrypting, decrypting and hashing data. */
  ENCRYPTION = "ENCRYPTION",
  /** Statistics over numbers. */
  ANALYSIS = "ANALYSIS",
  /** Calculations. */
  COMPUTATION = "COMPUTATION",
  /** Reading and writing files. */
  FILE_IO = "FILE_IO",
  /** Whatever the worker script or the handler module does. */
  CUSTOM = "CUSTOM",
}

/** States of a worker. A worker that starts is `IDLE` and not `online`. */
export enum WorkerState {
  /** Can take a task. */
  IDLE = "IDLE",
  /** Runs a task. */
  BUSY = "BUSY",
  /** Failed a health check. */
  UNHEALTHY = "UNHEALTHY",
  /** Is being ended. */
  TERMINATING = "TERMINATING",
  /** Has ended. */
  TERMINATED = "TERMINATED",
}

/** States of a task. */
export enum TaskStatus {
  /** Waits: for a worker, for its dependencies, or for its next attempt. */
  PENDING = "PENDING",
  /** Has a worker. */
  ASSIGNED = "ASSIGNED",
  /** Runs. */
  RUNNING = "RUNNING",
  /** Has a result. */
  COMPLETED = "COMPLETED",
  /** Has an error, and no attempts left. */
  FAILED = "FAILED",
  /** Was cancelled. */
  CANCELLED = "CANCELLED",
  /** Its last attempt ran for too long. */
  TIMEOUT = "TIMEOUT",
}

/** Urgency of a task: a larger number runs first. */
export enum TaskPriority {
  LOW = 1,
  /** The default. */
  NORMAL = 2,
  HIGH = 3,
  CRITICAL = 4,
}

/** `type` of the messages between the manager and a worker script. */
export enum WorkerMessageType {
  /** To the script: run this task. */
  TASK = "task",
  /** From the script: the result of a task. */
  RESULT = "result",
  /** From the script: the error of a task. */
  ERROR = "error",
  /** From the script: the progress of a task. */
  PROGRESS = "progress",
  /** From the script: a sign of life. */
  HEARTBEAT = "heartbeat",
}
