import { getHeapStatistics } from "node:v8";
import type { MessagePort, TransferListItem } from "node:worker_threads";
import type { FromThread, ToThread } from "./messages.js";

const SHORTEST_HEARTBEAT_MS = 100;

type PayloadMessage = Extract<ToThread, { kind: "payload" }>;

/** The thread's line to its manager beside the tasks: pings, aborts, and values that cannot be written down. */
export class ControlPort {
  readonly #port: MessagePort;
  #lastHeartbeat = -Infinity;
  /** Payloads by task, and those who wait for one. */
  readonly #payloads = new Map<number, PayloadMessage>();
  readonly #waiting = new Map<number, (message: PayloadMessage) => void>();
  /** Called when a task is to end. */
  onAbort: ((task: number, reason: string) => void) | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (message: ToThread) => {
      this.#receive(message);
    });
    // The task loop keeps the thread alive.
    port.unref();
  }

  announceReady(): void {
    this.#send({ kind: "ready", memory: usedHeap() });
  }

  /** A script may send heartbeats as fast as it likes. */
  sendHeartbeat(): void {
    const now = performance.now();
    if (now - this.#lastHeartbeat < SHORTEST_HEARTBEAT_MS) return;
    this.#lastHeartbeat = now;
    this.#send({ kind: "heartbeat", memory: usedHeap() });
  }

  /** @throws if the value cannot be sent */
  sendPosted(task: number, value: unknown, transferList: readonly TransferListItem[]): void {
    this.#port.postMessage({ kind: "posted", task, value } satisfies FromThread, transferList);
  }

  /** The payload of a task that was posted. */
  async payloadOf(task: number): Promise<PayloadMessage> {
    const message = this.#payloads.get(task);
    if (message === undefined)
      return new Promise((resolve) => {
        this.#waiting.set(task, resolve);
      });
    this.#payloads.delete(task);
    return message;
  }

  #receive(message: ToThread): void {
    switch (message.kind) {
      case "ping":
        this.#send({ kind: "pong", sequence: message.sequence, memory: usedHeap() });
        break;
      case "abort":
        this.onAbort?.(message.task, message.reason);
        break;
      case "payload": {
        const resolve = this.#waiting.get(message.task);
        if (resolve === undefined) {
          this.#payloads.set(message.task, message);
        } else {
          this.#waiting.delete(message.task);
          resolve(message);
        }
      }
    }
  }

  #send(message: FromThread): void {
    this.#port.postMessage(message);
  }
}

function usedHeap(): number {
  return getHeapStatistics().used_heap_size;
}
