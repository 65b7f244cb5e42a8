import { config, type Subject } from "rxjs";
import { AbortWatch } from "./abort-watch.js";
import { TASK_MESSAGES, TASK_STATUS } from "./constants.js";
import { EventStream } from "./event-stream.js";
import { newId } from "./ids.js";
import { TaskError } from "./task-error.js";
import { TaskQueue } from "./task-queue.js";
import { TaskRequest } from "./task-request.js";
import type {
  ITaskParams,
  MessageIF,
  TaskIF,
  TaskManagerIF,
  TaskManagerOptions,
  TaskStatusSummary,
} from "./types.js";

const DEFAULT_FAILED_HISTORY = 1000;
const CLOSED_ERROR = "TaskManager closed";

interface StoredTask {
  readonly task: TaskRequest;
  /** Place in the order in which tasks were added. */
  readonly order: number;
  /** The promise of `run`. */
  readonly reject: ((error: Error) => void) | undefined;
  /** Its callback was called, or is about to be. */
  isFinished: boolean;
}

/** Holds tasks, gives them to the workers that claim them, and tells everybody by `events$`. */
export class TaskManager implements TaskManagerIF {
  /** A random UUID. */
  readonly id: string = newId();
  /** Every message, in the order of its number. Completes with `close()`. */
  readonly events$: Subject<MessageIF>;
  readonly #stream: EventStream;
  readonly #tasks = new Map<string, StoredTask>();
  readonly #queue = new TaskQueue();
  readonly #signals = new AbortWatch<TaskRequest>((task) => {
    this.#abort(task);
  });
  readonly #failed = new Set<string>();
  readonly #failedHistory: number;
  readonly #failPendingOnClose: boolean;
  readonly #subscription: { unsubscribe(): void };
  #added = 0;

  /** @throws TaskError with code `INVALID_OPTION` if `failedHistory` is not a whole number of at least 0 */
  constructor({
    failedHistory = DEFAULT_FAILED_HISTORY,
    failPendingOnClose = false,
  }: TaskManagerOptions = {}) {
    if (!(failedHistory >= 0 && (Number.isInteger(failedHistory) || failedHistory === Infinity)))
      throw new TaskError(
        `failedHistory: expected a whole number of at least 0, got ${failedHistory}`,
        "INVALID_OPTION",
      );
    this.#failedHistory = failedHistory;
    this.#failPendingOnClose = failPendingOnClose;
    this.#stream = new EventStream(this.id);
    this.events$ = this.#stream.events$;
    this.#subscription = this.events$.subscribe((message) => {
      this.#receive(message);
    });
  }

  /** Numbers a message and sends a copy of it to all subscribers. Does nothing after `close()`. */
  emit(msg: MessageIF): void {
    this.#stream.emit(msg);
  }

  /**
   * Adds a task, which an available worker claims before this returns.
   * @throws TaskError with code `MANAGER_CLOSED` after `close()`, with code `INVALID_OPTION` for invalid parameters
   */
  addTask(task: ITaskParams): TaskRequest {
    return this.#add(task);
  }

  /**
   * Adds a task and resolves to the `content` of its response.
   * Rejects with a TaskError of code `TASK_FAILED`, `TASK_DELETED` or `MANAGER_CLOSED`, or with the reason of `signal`.
   */
  async run<T = any>(task: Omit<ITaskParams, "onSuccess" | "onError">): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const onSuccess = (response: MessageIF): void => {
        resolve(response.content);
      };
      const onError = ({ error, taskId, workerId }: MessageIF): void => {
        const ids = { ...(taskId !== undefined && { taskId }), ...(workerId !== undefined && { workerId }) };
        reject(
          task.signal?.aborted === true
            ? (task.signal.reason as Error)
            : new TaskError(error ?? "", "TASK_FAILED", ids),
        );
      };
      this.#add({ ...task, onSuccess, onError }, reject);
    });
  }

  /** Forgets a task: its callbacks are not called any more. A worker that runs the task is not stopped. */
  deleteTask(taskId: string): void {
    const stored = this.#forget(taskId);
    if (stored === undefined) return;
    if (!stored.isFinished)
      stored.reject?.(new TaskError("The task was deleted", "TASK_DELETED", { taskId }));
    this.emit({ message: TASK_MESSAGES.TASK_DELETED, taskId });
  }

  /** Changes fields of a task. A task whose status becomes "new" is queued again. */
  updateTask(taskId: string, props: Partial<Omit<TaskIF, "id">>): void {
    const stored = this.#tasks.get(taskId);
    if (stored === undefined) {
      console.warn("cannot get task ", taskId);
      return;
    }
    const { task } = stored;
    const old = { ...task };
    // The queue knows a task by its name and priority.
    this.#queue.remove(taskId);
    Object.assign(task, props);
    task.id = taskId;
    const isQueued = isClaimable(task);
    if (isQueued) this.#queue.add(task, stored.order);
    this.emit({ message: TASK_MESSAGES.TASK_UPDATED, taskId, content: { old, new: task } });
    if (isQueued && old.status !== TASK_STATUS.NEW) this.#announce(task);
  }

  /** The task, until it has ended. */
  task(id: string): TaskIF | undefined {
    return this.#tasks.get(id)?.task;
  }

  /** The ids of tasks by status. */
  status(): TaskStatusSummary {
    const summary: TaskStatusSummary = { failed: [...this.#failed], working: [], active: [], pending: [] };
    for (const [id, { task }] of this.#tasks) {
      if (task.status === TASK_STATUS.WORKING) summary.working.push(id);
      else if (task.status === TASK_STATUS.ACTIVE) summary.active.push(id);
      else if (task.status !== TASK_STATUS.FAILED) summary.pending.push(id);
      else if (!this.#failed.has(id)) summary.failed.push(id);
    }
    return summary;
  }

  /**
   * Completes `events$` and forgets all tasks. Callbacks of tasks that have not ended are called only with
   * `failPendingOnClose`. May be called again.
   */
  close(): void {
    if (this.#stream.isClosed) return;
    this.#subscription.unsubscribe();
    this.#stream.close();
    const unfinished = [...this.#tasks.values()];
    for (const { task } of unfinished) this.#forget(task.id);
    this.#queue.clear();
    for (const { task, reject, isFinished } of unfinished) {
      if (isFinished) continue;
      const { id: taskId, assignedWorker: workerId } = task;
      reject?.(new TaskError(CLOSED_ERROR, "MANAGER_CLOSED", { taskId }));
      if (!this.#failPendingOnClose) continue;
      const ids = workerId === undefined ? { taskId } : { taskId, workerId };
      callBack(task.onError, {
        message: TASK_MESSAGES.WORKER_RESPONSE,
        ...ids,
        error: CLOSED_ERROR,
        managerId: this.id,
      });
    }
  }

  /** Whether tasks that were added before, or have a higher priority, wait for the same workers. */
  isBehindOthers(task: TaskIF): boolean {
    const next = this.#queue.next([task.name]);
    return next !== undefined && next !== task;
  }

  #add(params: ITaskParams, reject?: (error: Error) => void): TaskRequest {
    if (this.#stream.isClosed)
      throw new TaskError("Cannot add task: TaskManager has been closed", "MANAGER_CLOSED");
    const task = new TaskRequest(params);
    const order = ++this.#added;
    this.#tasks.set(task.id, {
      task,
      order,
      reject,
      isFinished: false,
    });
    const isAborted = task.signal?.aborted === true;
    if (task.signal !== undefined && !isAborted) this.#signals.follow(task.signal, task);
    if (isClaimable(task)) this.#queue.add(task, order);
    this.emit({ message: TASK_MESSAGES.NEW_TASK, taskId: task.id, content: task });
    if (isAborted) this.#abort(task);
    return task;
  }

  /** The worker that runs the task sees the response, too, and ends its script. */
  #abort(task: TaskRequest): void {
    if (!this.#tasks.has(task.id)) return;
    const { id: taskId, assignedWorker: workerId } = task;
    const ids = workerId === undefined ? { taskId } : { taskId, workerId };
    this.emit({ message: TASK_MESSAGES.WORKER_RESPONSE, ...ids, error: `Task ${taskId} was aborted` });
  }

  #forget(taskId: string): StoredTask | undefined {
    const stored = this.#tasks.get(taskId);
    if (stored === undefined) return undefined;
    this.#tasks.delete(taskId);
    this.#queue.remove(taskId);
    const { task } = stored;
    if (task.signal !== undefined) this.#signals.forget(task.signal, task);
    return stored;
  }

  #receive(message: MessageIF): void {
    switch (message.message) {
      case TASK_MESSAGES.TASK_CLAIM:
        this.#claim(message);
        break;
      case TASK_MESSAGES.RELEASE_CLAIM:
        this.#release(message);
        break;
      case TASK_MESSAGES.WORKER_READY:
        this.#offer(message.content?.tasks);
        break;
      case TASK_MESSAGES.WORKER_RESPONSE:
        this.#finish(message);
    }
  }

  #claim({ taskId, workerId }: MessageIF): void {
    if (taskId === undefined || workerId === undefined) return;
    const task = this.task(taskId);
    if (task === undefined || !isClaimable(task)) return;
    this.updateTask(taskId, { status: TASK_STATUS.WORKING, assignedWorker: workerId });
    this.emit({ message: TASK_MESSAGES.TASK_CLAIM_GRANTED, taskId, workerId, content: task });
  }

  #release({ taskId, workerId }: MessageIF): void {
    const task = taskId === undefined ? undefined : this.task(taskId);
    if (task?.status !== TASK_STATUS.WORKING || task.assignedWorker !== workerId) return;
    this.updateTask(task.id, { status: TASK_STATUS.NEW, assignedWorker: undefined });
  }

  #offer(names: unknown): void {
    const task = Array.isArray(names) ? this.#queue.next(names as string[]) : undefined;
    if (task !== undefined) this.#announce(task);
  }

  #announce(task: TaskIF): void {
    this.emit({ message: TASK_MESSAGES.TASK_AVAILABLE, taskId: task.id, content: task });
  }

  #finish(response: MessageIF): void {
    const stored = response.taskId === undefined ? undefined : this.#tasks.get(response.taskId);
    if (stored === undefined || stored.isFinished) return;
    stored.isFinished = true;
    const { task } = stored;
    const isFailed = Boolean(response.error);
    if (isFailed) this.#rememberFailed(task.id);
    this.updateTask(task.id, { status: isFailed ? TASK_STATUS.FAILED : TASK_STATUS.DONE });
    callBack(isFailed ? task.onError : task.onSuccess, response);
    if (this.#forget(task.id) !== undefined)
      this.emit({ message: TASK_MESSAGES.TASK_DELETED, taskId: task.id });
  }

  #rememberFailed(taskId: string): void {
    if (this.#failedHistory === 0) return;
    this.#failed.add(taskId);
    if (this.#failed.size > this.#failedHistory) this.#failed.delete(this.#failed.values().next().value!);
  }
}

function isClaimable({ status, assignedWorker, signal }: TaskIF): boolean {
  return status === TASK_STATUS.NEW && assignedWorker === undefined && signal?.aborted !== true;
}

/** What a callback throws does not disturb the task manager; it is reported the way rxjs reports it. */
function callBack(callback: ((response: MessageIF) => void) | undefined, response: MessageIF): void {
  try {
    callback?.(response);
  } catch (error) {
    setTimeout(() => {
      if (config.onUnhandledError === null) throw error;
      config.onUnhandledError(error);
    });
  }
}
