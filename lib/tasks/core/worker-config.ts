import { TaskError } from "./task-error.js";
import type { RestartOptions, WorkerConfig } from "./types.js";

const DEFAULT_RESTARTS = 5;
const DEFAULT_DELAY_MS = 100;
const MAX_DELAY_MS = 30_000;

/** How a worker is made, from a valid configuration. */
export interface WorkerSource<W> {
  readonly script: string | URL | undefined;
  readonly create: (() => W) | undefined;
  readonly type: "classic" | "module" | undefined;
  readonly name: string | undefined;
}

/** @throws TaskError with code `INVALID_OPTION` */
export function sourceOf<W>({ script, create, type, name }: WorkerConfig<W>): WorkerSource<W> {
  if ((script === undefined) === (create === undefined))
    throw invalid("script", "expected either `script` or `create`", script);
  if (create !== undefined && typeof create !== "function")
    throw invalid("create", "expected a function", create);
  if (create !== undefined && (type !== undefined || name !== undefined))
    throw invalid("create", "`type` and `name` are given to the worker that it makes", create);
  if (type !== undefined && type !== "classic" && type !== "module")
    throw invalid("type", 'expected "classic" or "module"', type);
  return { script, create, type, name };
}

/** @throws TaskError with code `INVALID_OPTION` if `count` is not a whole number of at least 1 */
export function countOf({ count = 1 }: WorkerConfig<unknown>): number {
  if (!Number.isInteger(count) || count < 1)
    throw invalid("count", "expected a whole number of at least 1", count);
  return count;
}

/** Decides whether and when a script that failed is started again. */
export class RestartPolicy {
  readonly #max: number;
  readonly #delay: number;
  #failures = 0;

  /** @throws TaskError with code `INVALID_OPTION` */
  constructor(restart: false | RestartOptions | undefined) {
    const { max = DEFAULT_RESTARTS, delay = DEFAULT_DELAY_MS } =
      restart === false ? { max: 0 } : (restart ?? {});
    if (!(max >= 0)) throw invalid("restart.max", "expected a number of at least 0", max);
    if (!(delay >= 0 && delay <= MAX_DELAY_MS))
      throw invalid("restart.delay", `expected 0 to ${MAX_DELAY_MS} milliseconds`, delay);
    this.#max = max;
    this.#delay = delay;
  }

  /** Whether the worker may be started again at all. */
  get isAllowed(): boolean {
    return this.#max > 0;
  }

  /** Records a failure. Returns the milliseconds to wait before the restart, or undefined for no restart. */
  delayAfterFailure(): number | undefined {
    if (this.#failures >= this.#max) return undefined;
    return Math.min(MAX_DELAY_MS, this.#delay * 2 ** this.#failures++);
  }

  recordSuccess(): void {
    this.#failures = 0;
  }
}

export function invalid(field: string, expected: string, value: unknown): TaskError {
  return new TaskError(`WorkerConfig.${field}: ${expected}, got ${String(value)}`, "INVALID_OPTION");
}
