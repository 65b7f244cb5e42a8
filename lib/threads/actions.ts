import { read } from "./body.js";
import type { ManagerContext } from "./context.js";
import { TaskStatus, WorkerState } from "./enums.js";
import { WorkerError } from "./errors.js";
import { Action, ActionKind, binding, BodyKind, FailureKind } from "./native.js";
import { ownError } from "./own-error.js";
import { settle } from "./settlement.js";
import { Task } from "./task.js";
import { taskError } from "./task-error.js";
import type { PoolThread, WorkerRecord } from "./pool-thread.js";
import { crashError, type ThreadGroup } from "./thread-group.js";

/** Actions of one batch. */
const BATCH = 256;

/** What the actions need of the parts around them. */
export interface ActionsHost {
  /** Sends the payload of a task that could not be written down. */
  postPayload(task: Task, thread: PoolThread): void;
  /** Why a task is being cancelled. */
  cancellationError(task: Task): Error;
}

/** Does what the native scheduler has decided: updates tasks and workers, calls callbacks, emits events. */
export class Actions {
  readonly #context: ManagerContext;
  readonly #threads: ThreadGroup;
  readonly #host: ActionsHost;
  readonly #records = new Float64Array(1 + BATCH * Action.Length);
  #isProcessing = false;
  /** What a time on the native clock is more than now. */
  #clockSkew = 0;

  constructor(context: ManagerContext, threads: ThreadGroup, host: ActionsHost) {
    this.#context = context;
    this.#threads = threads;
    this.#host = host;
  }

  /** Handles all actions so far. Called from within, by a callback, it does nothing: the outer call goes on. */
  process(): void {
    if (this.#isProcessing) return;
    this.#isProcessing = true;
    try {
      while (this.#processBatch());
    } finally {
      this.#isProcessing = false;
    }
    this.#context.requestPass();
  }

  /** False: there are no more. */
  #processBatch(): boolean {
    const records = this.#records;
    records[0] = 0;
    const bodies = binding.takeActions(this.#context.pool, records);
    const count = records[0];
    this.#clockSkew = Date.now() - (binding.poolNow(this.#context.pool) ?? 0);
    let nextBody = 0;
    for (let index = 0; index < count; index++) {
      const at = 1 + index * Action.Length;
      const kind = records[at + Action.Body] as BodyKind;
      const hasBody = kind === BodyKind.Text || kind === BodyKind.Bytes;
      const content = hasBody ? bodies?.[nextBody++] : undefined;
      try {
        this.#perform(at, kind, content);
      } catch (error) {
        this.#context.report({ type: "internal", error: ownError(error) });
      }
    }
    return count > 0;
  }

  #perform(at: number, bodyKind: BodyKind, content: string | Uint8Array | undefined): void {
    const records = this.#records;
    const kind = records[at + Action.Kind] as ActionKind;
    const thread = this.#threads.bySlot(records[at + Action.Slot] ?? -1);
    if (kind === ActionKind.Recycle) {
      if (thread !== undefined) this.#threads.recycle(thread, "tasks");
      return;
    }
    const task = this.#context.tasks.byKey(records[at + Action.Task] ?? -1);
    if (task === undefined) return;
    if (kind === ActionKind.DependencyFailed) {
      this.#dependencyFailed(task, records[at + Action.Detail] ?? -1);
      return;
    }
    if (thread === undefined) return;
    const time = records[at + Action.At] ?? 0;
    switch (kind) {
      case ActionKind.Assigned:
        this.#assigned(task, thread, this.#date(time));
        break;
      case ActionKind.Progress:
        task.progress = time;
        this.#context.notify("taskProgress", { task, worker: thread.info, progress: time });
        break;
      case ActionKind.Completed:
        this.#completed(task, thread, this.#date(time), bodyKind, content);
        break;
      case ActionKind.Cancelled:
        this.#cancelled(task, thread, this.#date(time));
        break;
      case ActionKind.Failed:
        this.#failed(task, thread, at, content);
    }
  }

  #date(steady: number): number {
    return Math.round(steady + this.#clockSkew);
  }

  #assigned(task: Task, thread: PoolThread, at: number): void {
    const { info } = thread;
    task.assignedAt = Math.max(at, task.createdAt);
    task.workerId = info.id;
    info.currentTask = task.id;
    if (info.state === WorkerState.IDLE) info.state = WorkerState.BUSY;
    if (this.#context.hasListeners("taskAssigned") || this.#context.config.enableDebugLogging) {
      task.status = TaskStatus.ASSIGNED;
      this.#context.notify("taskAssigned", { task, worker: info });
    }
    task.status = TaskStatus.RUNNING;
    task.startedAt = task.assignedAt;
    const extras = Task.extrasOf(task);
    if (extras !== undefined && (extras.posted !== undefined || extras.passDependencyResults))
      this.#host.postPayload(task, thread);
  }

  #completed(
    task: Task,
    thread: PoolThread,
    at: number,
    kind: BodyKind,
    content: string | Uint8Array | undefined,
  ): void {
    const { info } = thread;
    info.tasksCompleted++;
    release(info);
    const result = kind === BodyKind.Posted ? thread.postedResult(Task.keyOf(task)) : read(kind, content);
    settle(this.#context, task, {
      status: TaskStatus.COMPLETED,
      at,
      result,
      bytes: content?.length ?? 0,
      worker: info,
    });
    this.#recycleIfNeeded(thread);
  }

  #cancelled(task: Task, thread: PoolThread, at: number): void {
    release(thread.info);
    const error = this.#host.cancellationError(task);
    settle(this.#context, task, { status: TaskStatus.CANCELLED, at, error, worker: thread.info });
    this.#recycleIfNeeded(thread);
  }

  #failed(task: Task, thread: PoolThread, at: number, content: string | Uint8Array | undefined): void {
    const records = this.#records;
    const failure = records[at + Action.Failure] as FailureKind;
    const delay = records[at + Action.Detail] ?? -1;
    const attempt = records[at + Action.Attempt] ?? 0;
    const time = this.#date(records[at + Action.At] ?? 0);
    const { info } = thread;
    info.tasksFailed++;
    release(info);
    const isTimeout = failure === FailureKind.Timeout;
    const error = failureError(failure, task, thread, content);
    // The thread goes on with what has taken too long, so it has to go.
    if (isTimeout) this.#threads.replace(thread);
    if (attempt === 0) {
      const status = isTimeout ? TaskStatus.TIMEOUT : TaskStatus.FAILED;
      settle(this.#context, task, { status, at: time, error, worker: info });
    } else {
      task.retryCount = attempt;
      task.status = TaskStatus.PENDING;
      this.#context.setTimer();
      if (isTimeout) this.#context.notify("taskTimeout", { task, worker: info });
      this.#context.notify("taskRetry", { task, worker: info, error, attempt, delay });
    }
    this.#recycleIfNeeded(thread);
  }

  #dependencyFailed(task: Task, dependencyKey: number): void {
    const { tasks } = this.#context;
    const dependency = tasks.byKey(dependencyKey) ?? failedDependency(task, (id) => tasks.get(id));
    const reason =
      dependency === undefined ? "a dependency" : `Dependency ${dependency.id} ${dependency.status}`;
    const error = new WorkerError(reason, "DEPENDENCY_FAILED", undefined, task.id, dependency?.error);
    settle(this.#context, task, { status: TaskStatus.FAILED, at: Date.now(), error, worker: undefined });
  }

  #recycleIfNeeded(thread: PoolThread): void {
    if (thread.isOverMemory) this.#threads.recycle(thread, "memory");
  }
}

/** The worker has no task any more. */
function release(info: WorkerRecord): void {
  info.currentTask = null;
  if (info.state === WorkerState.BUSY) info.state = WorkerState.IDLE;
}

function failureError(
  failure: FailureKind,
  task: Task,
  thread: PoolThread,
  content: string | Uint8Array | undefined,
): Error {
  const workerId = thread.info.id;
  switch (failure) {
    case FailureKind.Timeout:
      return new WorkerError(
        `Task ${task.id} timed out after ${String(task.timeout)} ms`,
        "TASK_TIMEOUT",
        workerId,
        task.id,
      );
    case FailureKind.Crash:
      return crashError(thread, task.id);
    case FailureKind.Error:
      return taskError(content, task.id, workerId);
  }
}

/** The dependency that has failed, of a task that is settled or was submitted after that. */
function failedDependency(task: Task, find: (id: string) => Task | undefined): Task | undefined {
  return task.dependencies.map((id) => find(id)).find((dependency) => dependency?.error !== undefined);
}
