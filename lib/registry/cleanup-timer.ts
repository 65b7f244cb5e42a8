/**
 * Runs cleanups, one at a time. After an outage, of the store or of this process, cleanups remove nobody for some time,
 * so that workers that could not send heartbeats meanwhile are not removed at once.
 */
export class CleanupTimer {
  readonly #interval: number;
  readonly #grace: number;
  readonly #cleanup: (keepsAll: boolean) => Promise<unknown>;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #isFailing = false;
  /** On the monotonic clock, like all times here. */
  #keepsAllUntil = -Infinity;
  #lastTick = 0;

  constructor(
    interval: number,
    grace: number,
    cleanup: (keepsAll: boolean) => Promise<unknown>,
    failed: (error: unknown) => void,
  ) {
    this.#interval = Math.min(interval, MAX_DELAY);
    this.#grace = grace;
    this.#cleanup = cleanup;
    this.#failed = failed;
  }

  get isStarted(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastTick = performance.now();
    this.#timer = setInterval(() => void this.#tick(), this.#interval).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #tick(): Promise<void> {
    const now = performance.now();
    if (now - this.#lastTick > 2 * this.#interval + TOLERANCE) this.#keepsAllUntil = now + this.#grace;
    this.#lastTick = now;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      await this.#cleanup(this.#isFailing || now < this.#keepsAllUntil);
      if (this.#isFailing) {
        this.#isFailing = false;
        this.#keepsAllUntil = performance.now() + this.#grace;
      }
    } catch (error) {
      this.#isFailing = true;
      this.#failed(error);
    } finally {
      this.#isRunning = false;
    }
  }
}

const MAX_DELAY = 2 ** 31 - 1;
/** A gap of some seconds is a busy process. */
const TOLERANCE = 5_000;
