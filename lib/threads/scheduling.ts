import type { ManagerContext } from "./context.js";
import { binding, PoolState } from "./native.js";
import type { ThreadGroup } from "./thread-group.js";

/** The longest time that a timer can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A timer this late will not come. */
const OVERDUE_MS = 1000;

/** What a look over the state may call. */
export interface SchedulingHost {
  processActions(): void;
  /** There may be room in the queue, or nothing left to do. */
  afterPass(pending: number): void;
}

/**
 * Looks over the state once after many changes: wakes threads, adds and ends threads by load, sets the timer for the
 * next deadline, and keeps the process alive while there is work.
 */
export class Scheduling {
  readonly #context: ManagerContext;
  readonly #threads: () => ThreadGroup;
  readonly #host: SchedulingHost;
  readonly #state = new Float64Array(PoolState.Length);
  #isRequested = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  /** On the pool's clock. */
  #timerDue = Infinity;
  #scaleTimer: NodeJS.Timeout | undefined;
  #holds = 0;
  #isKeptAlive = false;
  #announces = false;

  constructor(context: ManagerContext, threads: () => ThreadGroup, host: SchedulingHost) {
    this.#context = context;
    this.#threads = threads;
    this.#host = host;
  }

  /** Has a look over the state follow as a microtask. */
  request(): void {
    if (this.#isRequested || this.#isClosed) return;
    this.#isRequested = true;
    queueMicrotask(() => {
      this.#isRequested = false;
      if (!this.#isClosed) this.#pass();
    });
  }

  /** Keeps the process alive until the promise settles. */
  async hold<T>(promise: Promise<T>): Promise<T> {
    this.#holds++;
    this.#updateKeepAlive();
    try {
      return await promise;
    } finally {
      this.#holds--;
      this.#updateKeepAlive();
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#scaleTimer);
  }

  #pass(): void {
    const threads = this.#threads();
    const { config } = this.#context;
    this.#announceAssignments();
    // Threads beyond a lowered maximum end in any case.
    this.#tend(0, config.enableAutoScaling || threads.liveCount > config.maxWorkers);
    threads.balance(this.#state[PoolState.Ready] ?? 0);
    this.#scale(threads, this.#state[PoolState.Step] ?? 0);
    this.#updateKeepAlive();
    this.#host.afterPass(this.#state[PoolState.Pending] ?? 0);
  }

  /** Threads tell at once of each task that they take only if somebody listens. */
  #announceAssignments(): void {
    const isNeeded = this.#context.hasListeners("taskAssigned") || this.#context.config.enableDebugLogging;
    if (isNeeded === this.#announces) return;
    this.#announces = isNeeded;
    binding.setAnnouncesAssignments(this.#context.pool, isNeeded);
  }

  #scale(threads: ThreadGroup, step: number): void {
    const { config, tasks } = this.#context;
    // Further starts would fail as well.
    if (step > 0 && !threads.isRetrying) threads.grow(step);
    const idle = step < 0 ? threads.bySlot(-1 - step) : undefined;
    if (idle !== undefined) threads.shrink([idle]);
    const { liveCount } = threads;
    const canChange = liveCount > config.minWorkers || (tasks.unsettled > 0 && liveCount < config.maxWorkers);
    this.#setScaleTimer(canChange && (config.enableAutoScaling || liveCount > config.maxWorkers));
  }

  /** The interval may have changed. */
  restartScaleTimer(): void {
    if (this.#scaleTimer === undefined) return;
    this.#setScaleTimer(false);
    this.#setScaleTimer(true);
  }

  /** The load is looked at again only while it can change the number of threads. */
  #setScaleTimer(isNeeded: boolean): void {
    if (isNeeded === (this.#scaleTimer !== undefined)) return;
    clearInterval(this.#scaleTimer);
    this.#scaleTimer = isNeeded
      ? setInterval(() => {
          this.#host.processActions();
        }, this.#context.config.autoScaleInterval).unref()
      : undefined;
  }

  /** Handles what is due, and sets the timer for what is due next. */
  advance(): void {
    if (!this.#isClosed) this.#tend(0, false);
  }

  #tend(atLeast: number, scales: boolean): void {
    const state = this.#state;
    state[PoolState.Wait] = Infinity;
    binding.tendPool(this.#context.pool, atLeast, scales, state);
    const wait = state[PoolState.Wait];
    if (wait === Infinity) return;
    const now = state[PoolState.Now] ?? 0;
    // A timer that is overdue belongs to a clock that does not run any more.
    const isSet =
      this.#timer !== undefined && this.#timerDue <= now + wait && this.#timerDue > now - OVERDUE_MS;
    if (isSet) return;
    clearTimeout(this.#timer);
    // Timers count whole milliseconds, and may not end too early.
    const wholeWait = Math.min(Math.ceil(Math.max(0, wait)), LONGEST_TIMER_MS);
    this.#timerDue = now + wholeWait;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tend(this.#timerDue, false);
      this.request();
    }, wholeWait).unref();
  }

  #updateKeepAlive(): void {
    const isNeeded = this.#context.tasks.unsettled > 0 || this.#holds > 0;
    if (isNeeded === this.#isKeptAlive) return;
    this.#isKeptAlive = isNeeded;
    binding.setKeepAlive(this.#context.pool, isNeeded);
  }
}
