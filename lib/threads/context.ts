import type { EventEmitter } from "node:events";
import { nativeOptions, type ResolvedConfig } from "./config.js";
import { binding } from "./native.js";
import { ownError } from "./own-error.js";
import { TaskTable } from "./task-table.js";
import type { WorkerManagerEvents, WorkerTask } from "./types.js";

type EventName = keyof WorkerManagerEvents;

/** What the parts of a manager may ask of each other. */
export interface ContextHooks {
  /** The native side has something to tell. */
  onActions(): void;
  /** Has the state looked over soon: threads to start, timers to set. */
  requestPass(): void;
  /** Sets the timer for the next retry or timeout at once. */
  setTimer(): void;
}

/** What the parts of one manager share. */
export class ManagerContext {
  /** The native scheduler, and the number that raw functions know it by. */
  readonly native: InstanceType<typeof binding.NativeThreadPool>;
  readonly pool: number;
  readonly tasks: TaskTable;
  config: ResolvedConfig;
  readonly #emitter: EventEmitter<WorkerManagerEvents>;
  readonly #hooks: ContextHooks;

  constructor(emitter: EventEmitter<WorkerManagerEvents>, config: ResolvedConfig, hooks: ContextHooks) {
    this.#emitter = emitter;
    this.config = config;
    this.native = new binding.NativeThreadPool(nativeOptions(config), () => {
      hooks.onActions();
    });
    this.pool = this.native.number;
    this.tasks = new TaskTable(config.historySize);
    this.#hooks = hooks;
  }

  requestPass(): void {
    this.#hooks.requestPass();
  }

  setTimer(): void {
    this.#hooks.setTimer();
  }

  hasListeners(event: EventName): boolean {
    return this.#emitter.listenerCount(event) > 0;
  }

  /** Tells the user's listeners. What one throws is reported and stops nothing. */
  notify<K extends EventName>(event: K, ...args: WorkerManagerEvents[K]): void {
    this.debug(event, args);
    if (!this.hasListeners(event)) return;
    try {
      (this.#emitter as EventEmitter).emit(event, ...args);
    } catch (error) {
      if (event === "error") console.error("worker-server-native: a listener of `error` threw:", error);
      else this.reportCallbackError(error, undefined);
    }
  }

  /** Something of the user's has thrown. */
  reportCallbackError(error: unknown, task: WorkerTask | undefined): void {
    this.report({
      type: "callback_error",
      error: ownError(error),
      ...(task !== undefined && { task }),
    });
  }

  /** Emits `error`, or logs it when nobody listens. */
  report(event: WorkerManagerEvents["error"][0]): void {
    if (this.hasListeners("error")) this.notify("error", event);
    else console.error(`worker-server-native: ${event.type}:`, event.error);
  }

  debug(event: string, args: readonly unknown[]): void {
    if (this.config.enableDebugLogging) console.debug(`[worker-threads] ${event}`, ...args);
  }
}
