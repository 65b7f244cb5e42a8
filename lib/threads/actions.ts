import { read } from "./body.js";
import type { ManagerContext } from "./context.js";
import { TaskStatus, WorkerState } from "./enums.js";
import { WorkerError } from "./errors.js";
import { Action, ActionKind, binding, BodyKind, FailureKind } from "./native.js";
import { ownError } from "./own-error.js";
import { settle } from "./settlement.js";
import { Task } from "./task.js";
import { taskError } from "./task-error.js";
import { nativeResult } from "./native-tasks.js";
import { NativeWorkers } from "./native-workers.js";
import type { PoolThread } from "./pool-thread.js";
import type { WorkerRecord } from "./worker-record.js";
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

/** A value that belongs to an action. */
interface ActionBody {
  readonly kind: BodyKind;
  content: string | Uint8Array | undefined;
  /** Of a native task's result. */
  data: Uint8Array | undefined;
}

/** What runs a task: a thread of the pool, or (without one) a native thread. */
interface Runner {
  readonly thread: PoolThread | undefined;
  readonly info: WorkerRecord;
}

/** Does what the native scheduler has decided: updates tasks and workers, calls callbacks, emits events. */
export class Actions {
  readonly #context: ManagerContext;
  readonly #threads: ThreadGroup;
  readonly #host: ActionsHost;
  readonly #records = new Float64Array(1 + BATCH * Action.Length);
  readonly #nativeWorkers = new NativeWorkers();
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
      const body: ActionBody = { kind, content: undefined, data: undefined };
      if (kind !== BodyKind.Nothing && kind !== BodyKind.Posted) body.content = bodies?.[nextBody++];
      if (kind === BodyKind.Native) body.data = bodies?.[nextBody++] as Uint8Array | undefined;
      try {
        this.#perform(at, body);
      } catch (error) {
        this.#context.report({ type: "internal", error: ownError(error) });
      }
    }
    return count > 0;
  }

  #perform(at: number, body: ActionBody): void {
    const records = this.#records;
    const kind = records[at + Action.Kind] as ActionKind;
    const slot = records[at + Action.Slot] ?? -1;
    const thread = this.#threads.bySlot(slot);
    if (kind === ActionKind.Recycle) {
      if (thread !== undefined) this.#threads.recycle(thread, "tasks");
      return;
    }
    const task = this.#context.tasks.byKey(records[at + Action.Task] ?? -1);
    if (task === undefined) return;
    if (kind === ActionKind.DependencyFailed) {
      this.#dependencyFailed(task);
      return;
    }
    const runner: Runner = { thread, info: thread?.info ?? this.#nativeWorkers.of(slot) };
    const time = records[at + Action.At] ?? 0;
    switch (kind) {
      case ActionKind.Assigned:
        this.#assigned(task, runner, this.#date(time));
        break;
      case ActionKind.Progress:
        task.progress = time;
        this.#context.notify("taskProgress", { task, worker: runner.info, progress: time });
        break;
      case ActionKind.Completed:
        this.#completed(task, runner, this.#date(time), body);
        break;
      case ActionKind.Cancelled:
        this.#cancelled(task, runner, this.#date(time), records[at + Action.Failure] as FailureKind);
        break;
      case ActionKind.Failed:
        this.#failed(task, runner, at, body.content);
    }
    // A native task that is ended takes its slot with it.
    const isLost = records[at + Action.Failure] !== FailureKind.Error;
    if (thread === undefined && isLost) this.#nativeWorkers.forget(slot);
  }

  #date(steady: number): number {
    return Math.round(steady + this.#clockSkew);
  }

  #assigned(task: Task, { thread, info }: Runner, at: number): void {
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
    if (
      thread !== undefined &&
      extras !== undefined &&
      (extras.posted !== undefined || extras.passDependencyResults === true)
    )
      this.#host.postPayload(task, thread);
  }

  #completed(task: Task, { thread, info }: Runner, at: number, body: ActionBody): void {
    info.tasksCompleted++;
    release(info);
    settle(this.#context, task, {
      status: TaskStatus.COMPLETED,
      at,
      result: resultOf(task, thread, body),
      resultBytes: (body.content?.length ?? 0) + (body.data?.length ?? 0),
      worker: info,
    });
    this.#recycleIfNeeded(thread);
  }

  #cancelled(task: Task, { thread, info }: Runner, at: number, failure: FailureKind): void {
    release(info);
    // It ran for too long while it had time to end by itself.
    if (failure === FailureKind.Timeout && thread !== undefined) this.#threads.replace(thread);
    const error = this.#host.cancellationError(task);
    settle(this.#context, task, { status: TaskStatus.CANCELLED, at, error, worker: info });
    this.#recycleIfNeeded(thread);
  }

  #failed(task: Task, runner: Runner, at: number, content: string | Uint8Array | undefined): void {
    const records = this.#records;
    const failure = records[at + Action.Failure] as FailureKind;
    const delay = records[at + Action.Delay] ?? -1;
    const attempt = records[at + Action.Attempt] ?? 0;
    const time = this.#date(records[at + Action.At] ?? 0);
    const { thread, info } = runner;
    info.tasksFailed++;
    release(info);
    const isTimeout = failure === FailureKind.Timeout;
    const error = failureError(failure, task, runner, content);
    // The thread goes on with what has taken too long, so it has to go.
    if (isTimeout && thread !== undefined) this.#threads.replace(thread);
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

  #dependencyFailed(task: Task): void {
    const dependency = Task.extrasOf(task)?.dependencies?.find(({ error }) => error !== undefined);
    const reason = `Dependency ${String(dependency?.id)} ${String(dependency?.status)}`;
    const error = new WorkerError(reason, "DEPENDENCY_FAILED", undefined, task.id, dependency?.error);
    settle(this.#context, task, { status: TaskStatus.FAILED, at: Date.now(), error, worker: undefined });
  }

  #recycleIfNeeded(thread: PoolThread | undefined): void {
    if (thread?.isOverMemory === true) this.#threads.recycle(thread, "memory");
  }
}

function resultOf(task: Task, thread: PoolThread | undefined, { kind, content, data }: ActionBody): unknown {
  switch (kind) {
    case BodyKind.Posted:
      return thread?.postedResult(Task.keyOf(task));
    case BodyKind.Native:
      return nativeResult(task, content as string, data);
    default:
      return read(kind, content);
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
  { thread, info }: Runner,
  content: string | Uint8Array | undefined,
): Error {
  const workerId = info.id;
  switch (failure) {
    case FailureKind.Timeout:
      return new WorkerError(
        `Task ${task.id} timed out after ${String(task.timeout)} ms`,
        "TASK_TIMEOUT",
        workerId,
        task.id,
      );
    case FailureKind.Crash:
      return crashError(info, thread?.exit, task.id);
    case FailureKind.Error:
      return taskError(content, task.id, workerId);
  }
}
