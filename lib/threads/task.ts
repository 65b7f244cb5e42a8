import type { TaskCallback, WorkerTask } from "./types.js";
import { TaskStatus, type TaskPriority, type WorkerTaskType } from "./enums.js";
import type { MessagePort } from "node:worker_threads";

/** No dependencies: shared by all tasks without. */
export const NO_DEPENDENCIES: readonly string[] = Object.freeze([]);

/** What only some tasks have: kept apart so that a plain task stays small. */
export interface TaskExtras {
  /** The payload as a message, for what cannot be written down. */
  readonly posted?: PostedPayload;
  /** What the task depends on. Kept here, since the history may forget it before the task runs. */
  readonly dependencies?: readonly Task[];
  readonly passDependencyResults?: boolean;
  /** Takes the listener off the task's signal. */
  readonly forgetSignal?: () => void;
}

/** A payload on its way to a thread as a message. */
export interface PostedPayload {
  /** The next message's receiving end. */
  port: MessagePort | undefined;
  /** Objects were moved, so there is no second message. */
  readonly isSingleUse: boolean;
}

/** A task of a manager. What the user sees of it is {@link WorkerTask}. */
export class Task implements WorkerTask {
  readonly id: string;
  readonly type: WorkerTaskType;
  readonly payload: unknown;
  readonly priority: TaskPriority;
  readonly timeout: number;
  readonly maxRetries: number;
  retryCount = 0;
  status = TaskStatus.PENDING;
  readonly createdAt: number;
  assignedAt = 0;
  startedAt = 0;
  completedAt = 0;
  readonly dependencies: readonly string[];
  declare readonly metadata?: Record<string, unknown>;
  declare workerId?: string;
  declare progress?: number;
  declare result?: unknown;
  declare error?: Error;
  /** The task's place on the native side, while it is not settled. */
  #key = -1;
  readonly #payloadBytes: number;
  #callback: TaskCallback | undefined;
  #waiters: TaskCallback[] | undefined;
  #extras: TaskExtras | undefined;

  constructor(fields: {
    id: string;
    type: WorkerTaskType;
    payload: unknown;
    priority: TaskPriority;
    timeout: number;
    maxRetries: number;
    createdAt: number;
    dependencies: readonly string[];
    metadata: Record<string, unknown> | undefined;
    callback: TaskCallback | undefined;
    extras: TaskExtras | undefined;
    payloadBytes: number;
  }) {
    this.id = fields.id;
    this.type = fields.type;
    this.payload = fields.payload;
    this.priority = fields.priority;
    this.timeout = fields.timeout;
    this.maxRetries = fields.maxRetries;
    this.createdAt = fields.createdAt;
    this.dependencies = fields.dependencies;
    if (fields.metadata !== undefined) this.metadata = fields.metadata;
    this.#callback = fields.callback;
    this.#extras = fields.extras;
    this.#payloadBytes = fields.payloadBytes;
  }

  /** Bytes of the payload as it was written down. */
  static payloadBytesOf(task: Task): number {
    return task.#payloadBytes;
  }

  static keyOf(task: Task): number {
    return task.#key;
  }

  static setKey(task: Task, key: number): void {
    task.#key = key;
  }

  static extrasOf(task: Task): TaskExtras | undefined {
    return task.#extras;
  }

  static setExtras(task: Task, extras: TaskExtras): void {
    task.#extras = extras;
  }

  /** Calls `waiter` with the outcome, after the task's own callback. */
  static addWaiter(task: Task, waiter: TaskCallback): void {
    (task.#waiters ??= []).push(waiter);
  }

  /** Takes out what is to be called with the outcome. */
  static takeCallbacks(task: Task): { callback: TaskCallback | undefined; waiters: TaskCallback[] } {
    const callback = task.#callback;
    const waiters = task.#waiters ?? [];
    task.#callback = undefined;
    task.#waiters = undefined;
    task.#extras?.forgetSignal?.();
    task.#extras?.posted?.port?.close();
    task.#extras = undefined;
    return { callback, waiters };
  }
}

/** Tells the outcome of a settled task. */
export function tellOutcome({ error, result }: WorkerTask, callback: TaskCallback): void {
  if (error === undefined) callback(null, result);
  else callback(error);
}

/** A callback that settles a promise. */
export function settling<R>(resolve: (result: R) => void, reject: (error: Error) => void): TaskCallback<R> {
  return (error, result) => {
    if (error === null) resolve(result as R);
    else reject(error);
  };
}

/** Whether a task has its outcome. */
export function isSettled(task: WorkerTask): boolean {
  switch (task.status) {
    case TaskStatus.COMPLETED:
    case TaskStatus.FAILED:
    case TaskStatus.CANCELLED:
    case TaskStatus.TIMEOUT:
      return true;
    default:
      return false;
  }
}
