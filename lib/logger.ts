import type { WorkerServerLogger } from "./types.js";

type Level = keyof WorkerServerLogger;
type Context = Record<string, unknown>;

const DEFAULT_WARNINGS_PER_MINUTE = 10;

/** Calls the user's logger; what it throws is its own affair and ends nothing. */
export class Logger {
  /** For each thing that one peer can cause at will; see peer-log.ts. */
  readonly maxWarningsPerMinute: number;
  readonly #target: WorkerServerLogger | undefined;

  constructor(target: WorkerServerLogger | undefined, maxWarningsPerMinute = DEFAULT_WARNINGS_PER_MINUTE) {
    this.#target = target;
    this.maxWarningsPerMinute = maxWarningsPerMinute;
  }

  /** False: there is nobody to log to, so what would be logged need not be put together. */
  get isHeard(): boolean {
    return this.#target !== undefined;
  }

  debug(message: string, context?: Context): void {
    this.#log("debug", message, context);
  }

  warn(message: string, context?: Context): void {
    this.#log("warn", message, context);
  }

  error(message: string, context?: Context): void {
    this.#log("error", message, context);
  }

  #log(level: Level, message: string, context: Context | undefined): void {
    if (this.#target === undefined) return;
    try {
      // Loggers that look at the number of arguments see no context where there is none.
      if (context === undefined) this.#target[level](message);
      else this.#target[level](message, context);
    } catch {
      // There is nowhere left to report it.
    }
  }
}

/** The text of whatever was thrown. */
export function errorMessage(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    return "a value that cannot be made a string";
  }
}
