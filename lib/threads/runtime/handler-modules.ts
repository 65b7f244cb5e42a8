import type { TransferListItem } from "node:worker_threads";
import { loadModule } from "./load-module.js";
import { builtInHandlers } from "./built-in-handlers.js";
import { finalError } from "./error-fields.js";
import type { Handler, HandlerContext } from "./handler.js";
import type { TaskMessage, ThreadSetup } from "./messages.js";
import { Transferred, type TaskControls, type TaskRunner } from "./task-loop.js";

/** Runs each task with the handler of its type. */
export class HandlerModules implements TaskRunner {
  readonly #handlers: Readonly<Record<string, Handler | undefined>>;

  private constructor(handlers: Readonly<Record<string, Handler | undefined>>) {
    this.#handlers = handlers;
  }

  static async load(modules: ThreadSetup["handlers"]): Promise<HandlerModules> {
    const handlers: Record<string, Handler> = { ...builtInHandlers };
    for (const [type, { url, name }] of Object.entries(modules)) {
      const exports = await loadModule(url);
      handlers[type] = handlerOf(exports, url, name);
    }
    return new HandlerModules(handlers);
  }

  run(message: TaskMessage, controls: TaskControls): unknown {
    const { taskType } = message;
    const handler = this.#handlers[taskType];
    if (handler === undefined)
      throw finalError(
        `No handler for ${taskType} tasks: give the manager a workerScriptPath or handlers`,
        "NO_HANDLER",
      );
    return handler(message.payload, new Context(message, controls));
  }
}

function handlerOf(exports: Record<string, unknown>, url: string, name = "default"): Handler {
  const whole = (exports.default ?? exports) as Record<string, unknown>;
  const found = name === "default" ? whole : (exports[name] ?? whole[name]);
  if (typeof found !== "function") throw new TypeError(`${url} exports no function ${name}`);
  return found as Handler;
}

class Context implements HandlerContext {
  readonly #message: TaskMessage;
  readonly #controls: TaskControls;
  readonly progress: (value: number) => void;

  constructor(message: TaskMessage, controls: TaskControls) {
    this.#message = message;
    this.#controls = controls;
    this.progress = controls.progress;
  }

  get taskId(): string {
    return this.#message.taskId;
  }

  get taskType(): string {
    return this.#message.taskType;
  }

  get metadata(): Record<string, unknown> | undefined {
    return this.#message.metadata;
  }

  get attempt(): number {
    return this.#message.attempt;
  }

  get dependencyResults(): Record<string, unknown> | undefined {
    return this.#message.dependencyResults;
  }

  get signal(): AbortSignal {
    return this.#controls.signal;
  }

  transfer(value: unknown, transferList: readonly TransferListItem[]): unknown {
    return new Transferred(value, transferList);
  }
}
