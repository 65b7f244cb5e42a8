import type { ManagerContext } from "./context.js";
import { WorkerState } from "./enums.js";
import { WorkerError } from "./errors.js";
import { binding, SCRIPT_LANES } from "./native.js";
import { ownError } from "./own-error.js";
import { PoolThread, type ThreadEvents } from "./pool-thread.js";
import type { WorkerRecord } from "./worker-record.js";
import { modulesOf, type ThreadModules } from "./script-url.js";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 30_000;

/** What a group asks of its manager. */
export interface ThreadGroupHost {
  /** Handles what the native side has to tell. */
  processActions(): void;
  /** No thread can be started, so pending tasks fail with this error. */
  failPending(error: WorkerError): void;
}

/** The threads of one manager: starts, replaces and ends them. */
export class ThreadGroup implements ThreadEvents {
  readonly #context: ManagerContext;
  readonly #host: ThreadGroupHost;
  readonly #bySlot = new Map<number, PoolThread>();
  #modules: ThreadModules;
  #nextId = 1;
  /** Failed starts in a row. */
  #failures = 0;
  /** Starts that wait for their time, by index. */
  readonly #retries = new Map<number, NodeJS.Timeout>();
  #isClosed = false;

  constructor(context: ManagerContext, host: ThreadGroupHost) {
    this.#context = context;
    this.#host = host;
    this.#modules = modulesOf(context.config);
  }

  /** Threads started from now on load what the configuration says now. */
  reconfigure(): void {
    this.#modules = modulesOf(this.#context.config);
  }

  bySlot(slot: number): PoolThread | undefined {
    return this.#bySlot.get(slot);
  }

  /** All threads that have not ended, in the order of their ids. */
  all(): PoolThread[] {
    return [...this.#bySlot.values()];
  }

  infos(): WorkerRecord[] {
    return this.all().map((thread) => thread.info);
  }

  get liveCount(): number {
    let count = 0;
    for (const thread of this.#bySlot.values()) if (thread.isLive) count++;
    return count;
  }

  /** Whether the fewest threads that there should be are ready. */
  get isComplete(): boolean {
    const ready = this.all().filter((thread) => thread.isLive && thread.info.online).length;
    return ready >= this.#context.config.minWorkers;
  }

  /** Whether starts have failed so often that no thread is to be expected. */
  get isUnavailable(): boolean {
    return (
      this.#failures >= this.#context.config.maxCreationFailures &&
      !this.all().some((thread) => thread.isLive && thread.info.online)
    );
  }

  /** Whether starts have failed and wait to be tried again. */
  get isRetrying(): boolean {
    return this.#retries.size > 0;
  }

  /** Starts threads that are missing. */
  balance(readyTasks = this.#readyTasks()): void {
    if (this.#isClosed) return;
    const { minWorkers } = this.#context.config;
    const expected = this.liveCount + this.#retries.size;
    // Without any thread a ready task would wait for ever.
    const wanted = expected === 0 && readyTasks > 0 ? Math.max(1, minWorkers) : minWorkers;
    for (let missing = wanted - expected; missing > 0; missing--) this.start();
  }

  /** Starts a thread. */
  start(index = this.#freeIndex()): void {
    const { pool, config } = this.#context;
    const slot = binding.addSlot(pool, SCRIPT_LANES) ?? 0;
    const place = { id: `worker-${String(this.#nextId)}`, slot, index, pool };
    try {
      const thread = new PoolThread(place, config, this.#modules, this);
      this.#nextId++;
      this.#bySlot.set(slot, thread);
    } catch (error) {
      binding.loseSlot(pool, slot);
      this.#startFailed(index, error);
    }
  }

  /** Ends a thread at once; a task that it runs has failed. */
  kill(thread: PoolThread): void {
    if (thread.info.state === WorkerState.TERMINATING || thread.exit !== undefined) return;
    thread.info.state = WorkerState.TERMINATING;
    binding.loseSlot(this.#context.pool, thread.slot);
    void thread.terminate();
    this.#context.requestPass();
  }

  /** The thread is lost with its task: a replacement starts if there is work for it. */
  replace(thread: PoolThread): void {
    this.kill(thread);
    this.#startReplacement();
  }

  #startReplacement(): void {
    this.balance();
    const { maxWorkers } = this.#context.config;
    const hasWork = this.#readyTasks() > this.#idleCount();
    if (!this.#isClosed && hasWork && this.liveCount + this.#retries.size < maxWorkers) this.start();
  }

  /** The thread, which has no task and gets none, has had its share of tasks: a replacement starts first, then the thread ends. */
  recycle(thread: PoolThread, reason: "tasks" | "memory"): void {
    if (!thread.isLive) return;
    thread.recycling = reason;
    this.#context.notify("workerRecycled", { worker: thread.info, reason });
    this.#startReplacement();
    this.kill(thread);
  }

  /** The thread gets no further task, unless it has one. */
  retireIfIdle(thread: PoolThread): boolean {
    return binding.retireSlot(this.#context.pool, thread.slot, true) === true;
  }

  /** Adds threads; returns how many. */
  grow(count: number): number {
    if (this.#isClosed) return 0;
    const previousCount = this.liveCount;
    const added = Math.min(count, this.#context.config.maxWorkers - previousCount);
    for (let started = 0; started < added; started++) this.start();
    if (added <= 0) return 0;
    this.#context.notify("scaledUp", { workerCount: previousCount + added, previousCount });
    return added;
  }

  /** Ends up to so many idle threads, the longest idle first; returns how many. */
  shrink(threads: readonly PoolThread[]): number {
    const previousCount = this.liveCount;
    const most = previousCount - this.#context.config.minWorkers;
    const ended = threads
      .filter((thread) => thread.isLive)
      .slice(0, Math.max(0, most))
      .filter((thread) => this.retireIfIdle(thread));
    for (const thread of ended) this.kill(thread);
    if (ended.length === 0) return 0;
    const workerCount = previousCount - ended.length;
    this.#context.notify("scaledDown", { workerCount, previousCount });
    return ended.length;
  }

  /** Ends all threads and starts no more. Resolves when all have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    const threads = this.all();
    for (const thread of threads) this.kill(thread);
    await Promise.all(threads.map(async (thread) => thread.terminate()));
  }

  onReady(thread: PoolThread): void {
    this.#failures = 0;
    this.#context.notify("workerCreated", thread.info);
    this.#context.requestPass();
  }

  onHeartbeat(thread: PoolThread): void {
    this.#context.notify("workerHeartbeat", thread.info);
    if (thread.info.memoryUsed <= this.#context.config.maxWorkerMemory || !thread.isLive) return;
    // It gets no further task, and is recycled after the one that it may have.
    if (binding.retireSlot(this.#context.pool, thread.slot, false) === true) this.recycle(thread, "memory");
    else thread.isOverMemory = true;
  }

  onExit(thread: PoolThread, exitCode: number, error: Error | undefined): void {
    const { info } = thread;
    const isExpected = info.state === WorkerState.TERMINATING;
    binding.loseSlot(this.#context.pool, thread.slot);
    this.#host.processActions();
    this.#bySlot.delete(thread.slot);
    info.state = WorkerState.TERMINATED;
    info.currentTask = null;
    info.isHealthy = false;
    const wasOnline = info.online;
    // A thread that ends before its first task would end again at once.
    const hasServed = wasOnline && info.tasksCompleted + info.tasksFailed > 0;
    info.online = false;
    if (wasOnline) {
      if (!isExpected)
        this.#context.notify("workerError", { worker: info, error: crashError(info, thread.exit) });
      this.#context.notify("workerExited", { worker: info, exitCode });
      this.#context.notify("workerTerminated", info);
    }
    if (!isExpected && hasServed) this.#startReplacement();
    if (!isExpected && !hasServed)
      this.#startFailed(
        thread.index,
        error ?? new Error(`the thread ended with exit code ${String(exitCode)}`),
      );
    this.#context.requestPass();
  }

  #startFailed(index: number, error: unknown): void {
    const delay = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS);
    this.#failures++;
    const failure = ownError(error);
    if (!this.#isClosed) {
      const retry = (): void => {
        this.#retries.delete(index);
        if (this.liveCount < this.#context.config.minWorkers || this.#readyTasks() > 0) this.start(index);
      };
      this.#retries.set(index, setTimeout(retry, delay).unref());
    }
    this.#context.report({ type: "worker_creation_failed", error: failure, index });
    if (this.isUnavailable) {
      const message = `No worker could be started: ${failure.message}`;
      this.#host.failPending(new WorkerError(message, "WORKER_UNAVAILABLE", undefined, undefined, failure));
    }
  }

  /** The lowest index that no thread has. */
  #freeIndex(): number {
    const taken = new Set([...this.#retries.keys(), ...this.all().map((thread) => thread.index)]);
    let index = 0;
    while (taken.has(index)) index++;
    return index;
  }

  #idleCount(): number {
    return this.all().filter((thread) => thread.isLive && thread.info.currentTask === null).length;
  }

  #readyTasks(): number {
    return binding.readyTasks(this.#context.pool) ?? 0;
  }
}

/** What a task fails with that ran on a worker when the worker ended. */
export function crashError(info: WorkerRecord, exit: PoolThread["exit"], taskId?: string): WorkerError {
  const code = String(exit?.code ?? 1);
  const cause = exit?.error;
  const message =
    cause === undefined
      ? `Worker ${info.id} exited with code ${code}`
      : `Worker ${info.id} crashed: ${cause.message} (exit code ${code})`;
  return new WorkerError(message, "WORKER_CRASHED", info.id, taskId, cause);
}
