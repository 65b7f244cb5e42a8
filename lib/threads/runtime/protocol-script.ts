import { parentPort } from "node:worker_threads";
import { loadModule } from "./load-module.js";
import type { ControlPort } from "./control-port.js";
import type { TaskMessage } from "./messages.js";
import type { TaskControls, TaskRunner } from "./task-loop.js";
import { Transferred } from "./task-loop.js";

interface PendingTask {
  readonly taskId: string;
  readonly controls: TaskControls;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * A script that listens on `parentPort` for tasks and posts results. Tasks come to it as messages, though nothing
 * travels through the port: messages are put out and taken in on this side of it.
 */
export class ProtocolScript implements TaskRunner {
  readonly #control: ControlPort;
  #pending: PendingTask | undefined;

  private constructor(control: ControlPort) {
    this.#control = control;
  }

  static async load(url: string, control: ControlPort): Promise<ProtocolScript> {
    const script = new ProtocolScript(control);
    if (parentPort !== null) {
      parentPort.postMessage = (message: unknown, transfer?: unknown): void => {
        script.#receive(message, transferListOf(transfer));
      };
      // Without its port the script can serve no task, so the thread ends, as it would by itself.
      parentPort.close = () => {
        setImmediate(() => process.exit(0));
      };
    }
    await loadModule(url);
    return script;
  }

  async run(message: TaskMessage, controls: TaskControls): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#pending = { taskId: message.taskId, controls, resolve, reject };
      parentPort?.emit("message", message);
    });
  }

  #receive(message: unknown, transferList: readonly never[]): void {
    if (typeof message !== "object" || message === null) return;
    const { type, taskId, payload, error, progress } = message as Record<string, unknown>;
    if (type === "heartbeat") {
      this.#control.sendHeartbeat();
      return;
    }
    const pending = this.#pending;
    // Also an answer to an earlier task, or a second one.
    if (pending === undefined || taskId !== pending.taskId) return;
    switch (type) {
      case "result":
        this.#pending = undefined;
        pending.resolve(transferList.length > 0 ? new Transferred(payload, transferList) : payload);
        break;
      case "error":
        this.#pending = undefined;
        pending.reject(error);
        break;
      case "progress":
        pending.controls.progress(progress as number);
    }
  }
}

function transferListOf(transfer: unknown): readonly never[] {
  const list = Array.isArray(transfer)
    ? transfer
    : (transfer as { transfer?: unknown } | undefined)?.transfer;
  return Array.isArray(list) ? (list as never[]) : [];
}
