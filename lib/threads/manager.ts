import { EventEmitter } from "node:events";
import { Actions } from "./actions.js";
import { checkTime, defaultConfig, nativeOptions, resolveConfig, type ResolvedConfig } from "./config.js";
import { ManagerContext } from "./context.js";
import { TaskStatus } from "./enums.js";
import { ValidationError, WorkerError } from "./errors.js";
import { HealthChecks } from "./health-checks.js";
import { takeMetrics } from "./metrics.js";
import { binding, Cancellation } from "./native.js";
import type { PoolThread } from "./pool-thread.js";
import { Scheduling } from "./scheduling.js";
import { settle } from "./settlement.js";
import { handleSignals } from "./signals.js";
import { cancelled, Submissions } from "./submissions.js";
import { isSettled, settling, Task, tellOutcome } from "./task.js";
import { checkTask } from "./task-options.js";
import { ThreadGroup } from "./thread-group.js";
import type {
  ShutdownOptions,
  TaskCallback,
  TaskOptions,
  TaskTypeName,
  WorkerInfo,
  WorkerManagerConfig,
  WorkerManagerEvents,
  WorkerMetrics,
  WorkerTask,
} from "./types.js";

interface Deferred {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Runs tasks on worker threads.
 *
 * ```ts
 * const manager = createWorkerManager({ workerScriptPath: "./worker.js" });
 * const result = await manager.run("CUSTOM", { n: 1 });
 * await manager.shutdown();
 * ```
 */
export class WorkerManager extends EventEmitter<WorkerManagerEvents> {
  readonly #context: ManagerContext;
  readonly #threads: ThreadGroup;
  readonly #submissions: Submissions;
  readonly #actions: Actions;
  readonly #scheduling: Scheduling;
  readonly #health: HealthChecks;
  /** Why running tasks are cancelled, if not by `cancelTask`. */
  readonly #cancelReasons = new Map<Task, unknown>();
  readonly #idleWaiters: Deferred[] = [];
  readonly #readyWaiters: Deferred[] = [];
  #hasBackpressure = false;
  #metricsTimer: NodeJS.Timeout | undefined;
  #forgetSignals: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;
  /** Ends the wait of a shutdown for running tasks. */
  #force: (() => void) | undefined;

  /** @throws ValidationError naming the first wrong option */
  constructor(config?: WorkerManagerConfig) {
    super();
    const resolved = resolveConfig(config, defaultConfig as ResolvedConfig);
    this.#context = new ManagerContext(this, resolved, {
      onActions: () => {
        this.#actions.process();
      },
      requestPass: () => {
        this.#scheduling.request();
      },
      setTimer: () => {
        this.#scheduling.advance();
      },
    });
    const processActions = (): void => {
      this.#actions.process();
    };
    this.#scheduling = new Scheduling(this.#context, () => this.#threads, {
      processActions,
      afterPass: (pending) => {
        this.#afterPass(pending);
      },
    });
    this.#threads = new ThreadGroup(this.#context, {
      processActions,
      failPending: (error) => {
        this.#failPending(error);
      },
    });
    this.#submissions = new Submissions(this.#context, (task, reason) => void this.#cancel(task, reason));
    this.#actions = new Actions(this.#context, this.#threads, {
      postPayload: (task, thread) => {
        this.#submissions.postPayload(task, thread);
      },
      cancellationError: (task) => this.#cancellationError(task),
    });
    this.#health = new HealthChecks(this.#context, this.#threads, processActions);
    this.#threads.balance();
    this.#applyConfig();
  }

  /**
   * Queues a task. The promise resolves with the task's id as soon as the task is queued; the callback gets the outcome.
   *
   * @throws ValidationError (as a rejection) for a wrong argument, before anything is queued
   * @throws WorkerError (as a rejection) with code `QUEUE_FULL`, `UNKNOWN_DEPENDENCY`, `TASK_CANCELLED` (the signal was
   *   aborted already) or `MANAGER_SHUTDOWN`
   */
  submitTask<R = any, P = any>(
    type: TaskTypeName,
    payload: P,
    callback?: TaskCallback<R> | null,
    options?: TaskOptions,
  ): Promise<string> {
    try {
      return this.#submit(type, payload, callback, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /**
   * Queues a task and waits for its result.
   *
   * @throws what {@link WorkerManager.submitTask} throws, and the task's error
   */
  run<R = any, P = any>(type: TaskTypeName, payload: P, options?: TaskOptions): Promise<R> {
    return new Promise((resolve, reject) => {
      // What it throws becomes the rejection.
      this.#submit(type, payload, settling<R>(resolve, reject), options).catch(reject);
    });
  }

  /**
   * Cancels a task. A running one has `cancelGracePeriod` to end by itself; then its thread is ended. Resolves with false
   * if the task is not known or has its outcome already.
   */
  async cancelTask(taskId: string): Promise<boolean> {
    const task = this.#context.tasks.get(taskId);
    return task !== undefined && this.#cancel(task, undefined);
  }

  /** A task that waits, runs, or is one of the last `historySize` settled ones. */
  getTask(taskId: string): WorkerTask | undefined {
    this.#actions.process();
    return this.#context.tasks.get(taskId);
  }

  /**
   * The result of a task.
   *
   * @throws WorkerError (as a rejection) with code `UNKNOWN_TASK`; the task's error
   */
  async waitForTask<R = any>(taskId: string): Promise<R> {
    const task = this.#context.tasks.get(taskId);
    if (task === undefined)
      throw new WorkerError(`Unknown task: ${taskId}`, "UNKNOWN_TASK", undefined, taskId);
    return new Promise((resolve, reject) => {
      const waiter = settling<R>(resolve, reject);
      if (isSettled(task)) tellOutcome(task, waiter);
      else Task.addWaiter(task, waiter);
    });
  }

  /** Counts and means; never NaN. */
  getMetrics(): WorkerMetrics {
    this.#actions.process();
    return takeMetrics(this.#context, this.#threads.all());
  }

  /** All workers that have not ended, in the order of their ids. */
  getWorkerStatus(): WorkerInfo[] {
    this.#actions.process();
    return this.#threads.infos();
  }

  /** Pings all idle workers now. Resolves when each has answered or is being replaced. */
  async performHealthChecks(): Promise<void> {
    return this.#scheduling.hold(this.#health.checkAll());
  }

  /** Adds workers, up to `maxWorkers`; resolves with the number added. */
  async scaleUp(count = 1): Promise<number> {
    this.#refuseIfShutdown();
    return this.#threads.grow(checkCount(count));
  }

  /** Ends idle workers, down to `minWorkers`; resolves with the number ended. */
  async scaleDown(count = 1): Promise<number> {
    this.#refuseIfShutdown();
    checkCount(count);
    this.#actions.process();
    const idle = this.#threads.all().filter((thread) => thread.info.currentTask === null);
    return this.#threads.shrink(idle.slice(0, count));
  }

  /**
   * Changes options. Scripts, environment and limits of threads hold for threads started from now on.
   *
   * @throws ValidationError (as a rejection) naming the first wrong option; then nothing is changed
   */
  async updateConfig(config: Partial<WorkerManagerConfig>): Promise<void> {
    this.#refuseIfShutdown();
    const resolved = resolveConfig(config, this.#context.config);
    this.#context.config = resolved;
    this.#context.native.setOptions(nativeOptions(resolved));
    this.#context.tasks.setHistorySize(resolved.historySize);
    this.#threads.reconfigure();
    this.#applyConfig();
    this.#context.requestPass();
  }

  /** All options as they hold now. */
  getConfig(): Required<WorkerManagerConfig> {
    return { ...this.#context.config } as Required<WorkerManagerConfig>;
  }

  /** Starts no further tasks; running ones go on. */
  pause(): void {
    binding.setPoolPaused(this.#context.pool, true);
  }

  /** Starts tasks again. */
  resume(): void {
    binding.setPoolPaused(this.#context.pool, false);
  }

  /**
   * Resolves when `minWorkers` workers are online.
   *
   * @throws WorkerError (as a rejection) with code `WORKER_UNAVAILABLE` or `MANAGER_SHUTDOWN`
   */
  async ready(): Promise<void> {
    this.#refuseIfShutdown();
    if (this.#threads.isComplete) return;
    const promise = new Promise<void>((resolve, reject) => {
      this.#readyWaiters.push({ resolve, reject });
    });
    return this.#scheduling.hold(promise);
  }

  /** Resolves when no task waits or runs. */
  async onIdle(): Promise<void> {
    this.#actions.process();
    if (this.#context.tasks.unsettled === 0) return;
    return new Promise((resolve, reject) => {
      this.#idleWaiters.push({ resolve, reject });
    });
  }

  /** Whether the queue is at `backpressureThreshold` or above. */
  get backpressure(): boolean {
    return this.#hasBackpressure;
  }

  /**
   * Takes no further tasks, cancels those that wait, waits for those that run, then ends all threads. Called again, it
   * returns the same promise; `force` still takes effect.
   *
   * @throws ValidationError (as a rejection) if the timeout is no number of milliseconds
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    if (options.timeout !== undefined) checkTime(options.timeout, "timeout");
    this.#shutdown ??= this.#scheduling.hold(this.#shutDown(options));
    if (options.force === true) this.#force?.();
    return this.#shutdown;
  }

  /** The same as `shutdown()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /** @throws what is wrong with the task */
  #submit(
    type: unknown,
    payload: unknown,
    callback: TaskCallback | null | undefined,
    options: TaskOptions | undefined,
  ): Promise<string> {
    this.#refuseIfShutdown();
    return this.#submissions.submit(checkTask(type, callback, options, this.#context.config), payload);
  }

  async #shutDown({
    drain = false,
    timeout = this.#context.config.shutdownTimeout,
    force,
  }: ShutdownOptions): Promise<void> {
    const error = shutdownError();
    this.#submissions.rejectWaiting(error);
    for (const { reject } of this.#readyWaiters.splice(0)) reject(error);
    this.#actions.process();
    if (!drain) this.#stopRepeating();
    if (!drain) this.#cancelPending(error);
    else this.resume();
    if (force !== true) await this.#idleOrTimeout(timeout);
    this.#cancelPending(error);
    for (const task of this.#context.tasks.allUnsettled()) void this.#cancel(task, error, true);
    await this.#threads.close();
    this.#actions.process();
    this.#health.stop();
    clearInterval(this.#metricsTimer);
    this.#forgetSignals?.();
    this.#scheduling.close();
    this.#context.native.close();
    this.#context.notify("shutdown");
    for (const { resolve } of this.#idleWaiters.splice(0)) resolve();
  }

  async #idleOrTimeout(timeout: number): Promise<void> {
    if (this.#context.tasks.unsettled === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#force = resolve;
      this.#idleWaiters.push({
        resolve,
        reject: () => {
          resolve();
        },
      });
      if (Number.isFinite(timeout)) timer = setTimeout(resolve, timeout);
    });
    clearTimeout(timer);
  }

  /** Tasks that fail now are not tried again. */
  #stopRepeating(): void {
    const options = nativeOptions(this.#context.config);
    this.#context.native.setOptions({
      ...options,
      retryOnError: false,
      retryOnTimeout: false,
      retryOnCrash: false,
    });
  }

  #cancelPending(error: Error): void {
    for (const task of this.#context.tasks.allUnsettled()) {
      if (task.status === TaskStatus.PENDING) this.#requestCancel(task, error);
    }
  }

  #failPending(error: WorkerError): void {
    for (const { reject } of this.#readyWaiters.splice(0)) reject(error);
    for (const task of this.#context.tasks.allUnsettled()) {
      if (binding.failPendingTask(this.#context.pool, Task.keyOf(task)) !== true) continue;
      const at = Date.now();
      settle(this.#context, task, { status: TaskStatus.FAILED, at, error, worker: undefined });
    }
    this.#actions.process();
  }

  /** Asks the native side to cancel; a task that waits is cancelled at once. */
  #requestCancel(task: Task, error: Error): number {
    const outcome = binding.cancelTask(this.#context.pool, Task.keyOf(task)) ?? Cancellation.TooLate;
    if (outcome === Cancellation.Cancelled) {
      settle(this.#context, task, { status: TaskStatus.CANCELLED, at: Date.now(), error, worker: undefined });
      this.#actions.process();
    }
    return outcome;
  }

  /** Resolves with whether the task is cancelled thereby. */
  async #cancel(task: Task, reason: unknown, isForced = false): Promise<boolean> {
    if (isSettled(task)) return false;
    const error = reason instanceof WorkerError ? reason : cancelled(task.id, reason);
    const outcome = this.#requestCancel(task, error);
    if (outcome === Cancellation.Cancelled) return true;
    // Also if it has its outcome: that is about to be handled.
    if (outcome >= 0) {
      if (!this.#cancelReasons.has(task)) this.#cancelReasons.set(task, reason);
      const thread = this.#threads.bySlot(outcome);
      const grace = isForced ? 0 : this.#context.config.cancelGracePeriod;
      if (thread !== undefined) await this.#endAttempt(task, thread, grace, error.message);
      // A native task ends at its next look whether it should.
      else binding.loseSlot(this.#context.pool, outcome);
    }
    this.#actions.process();
    if (!isSettled(task))
      await new Promise<void>((resolve) => {
        Task.addWaiter(task, () => {
          resolve();
        });
      });
    this.#cancelReasons.delete(task);
    return (task.status as TaskStatus) === TaskStatus.CANCELLED;
  }

  /** Gives the task time to end by itself, then ends its thread. */
  async #endAttempt(task: Task, thread: PoolThread, grace: number, reason: string): Promise<void> {
    if (grace > 0) {
      thread.send({ kind: "abort", task: Task.keyOf(task), reason });
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, grace);
        Task.addWaiter(task, () => {
          resolve();
        });
      });
      clearTimeout(timer);
    }
    if (!isSettled(task)) this.#threads.replace(thread);
  }

  #cancellationError(task: Task): Error {
    const reason = this.#cancelReasons.get(task);
    return reason instanceof WorkerError ? reason : cancelled(task.id, reason, task.workerId);
  }

  #applyConfig(): void {
    this.#health.restart();
    this.#scheduling.restartScaleTimer();
    this.#setMetricsTimer();
    const { handleSignals: isHandling } = this.#context.config;
    if (isHandling && this.#forgetSignals === undefined) {
      this.#forgetSignals = handleSignals(
        () => void this.shutdown({ drain: true }),
        () => void this.shutdown({ force: true }),
      );
    } else if (!isHandling) {
      this.#forgetSignals?.();
      this.#forgetSignals = undefined;
    }
  }

  #setMetricsTimer(): void {
    clearInterval(this.#metricsTimer);
    const { metricsInterval } = this.#context.config;
    if (metricsInterval === 0) return;
    this.#metricsTimer = setInterval(() => {
      if (this.#context.hasListeners("metricsUpdated"))
        this.#context.notify("metricsUpdated", this.getMetrics());
    }, metricsInterval).unref();
  }

  #afterPass(pending: number): void {
    this.#submissions.admitWaiting();
    this.#updateBackpressure(pending);
    if (this.#context.tasks.unsettled === 0) for (const { resolve } of this.#idleWaiters.splice(0)) resolve();
    if (this.#readyWaiters.length > 0 && this.#threads.isComplete)
      for (const { resolve } of this.#readyWaiters.splice(0)) resolve();
  }

  #updateBackpressure(queueSize: number): void {
    const { maxTaskQueueSize: maxQueueSize, backpressureThreshold } = this.#context.config;
    const isOver = queueSize > 0 && queueSize >= backpressureThreshold * maxQueueSize;
    if (isOver === this.#hasBackpressure) return;
    this.#hasBackpressure = isOver;
    if (isOver)
      this.#context.notify("backpressure", {
        queueSize,
        maxQueueSize,
        utilization: Number.isFinite(maxQueueSize) ? queueSize / maxQueueSize : 0,
      });
    else this.#context.notify("drain");
  }

  #refuseIfShutdown(): void {
    if (this.#shutdown !== undefined) throw shutdownError();
  }
}

/** Makes a worker manager; the same as `new WorkerManager(config)`. */
export function createWorkerManager(config?: WorkerManagerConfig): WorkerManager {
  return new WorkerManager(config);
}

function shutdownError(): WorkerError {
  return new WorkerError("Worker manager is shut down", "MANAGER_SHUTDOWN");
}

function checkCount(count: number): number {
  if (!Number.isInteger(count) || count < 0)
    throw new ValidationError("The count must be an integer of at least 0", "count", count);
  return count;
}
