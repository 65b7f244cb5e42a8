import { steadyNow } from "./clock.js";
import type { Logger } from "./logger.js";

const PERIOD_MS = 60_000;

/**
 * What a peer (or all that have not registered) did wrong, so that nobody floods the log: of each cause the first lines of
 * a minute are logged as they come, then one that says that there are more, then nothing until the minute is over.
 */
export class PeerLog {
  readonly #logger: Logger;
  readonly #causes = new Map<string, { lines: number; since: number }>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** The message is the cause. */
  warn(message: string, context?: Record<string, unknown>): void {
    const lines = this.#count(message);
    const most = this.#logger.maxWarningsPerMinute;
    if (lines <= most) this.#logger.warn(message, context);
    else if (lines <= most + 1) this.#logger.warn("Logged too often, only counted for a minute", { message });
  }

  #count(message: string): number {
    const now = steadyNow();
    const cause = this.#causes.get(message);
    // A test can set its clock back.
    if (cause !== undefined && Math.abs(now - cause.since) < PERIOD_MS) return ++cause.lines;
    this.#causes.set(message, { lines: 1, since: now });
    return 1;
  }
}
