import type { TypedMessage } from "../application.js";
import { Handlers } from "../handlers.js";
import type { WorkerInfo, WorkerMessageHandler } from "../types.js";
import { eventOf } from "./message-context.js";
import type { WorkerEventHandler } from "./types.js";

type Arguments = [info: WorkerInfo, message: TypedMessage];

/** The handlers of one type of message: those that take an info and the message, and those that take an event. */
export class MessageHandlers extends Handlers<Arguments> {
  readonly #adapters = new WeakMap<WorkerEventHandler, (info: WorkerInfo) => void>();
  #maySeeEvent = false;

  /**
   * Whether a handler may look for the event in its first argument. One that declares a second parameter does not: no
   * handler of events has any, and version 1 knows no events.
   */
  get maySeeEvent(): boolean {
    return this.#maySeeEvent;
  }

  /** As `call`, without an array and a function for each message. */
  deliver(info: WorkerInfo, message: TypedMessage, onThrow: (type: string, thrown: unknown) => void): void {
    const { type } = message;
    for (const handler of this.handlers) {
      try {
        const result = handler(info, message);
        if (result instanceof Promise) result.catch((thrown) => onThrow(type, thrown));
      } catch (thrown) {
        onThrow(type, thrown);
      }
    }
  }

  override add(handler: WorkerMessageHandler): () => void {
    if (handler.length < 2) this.#maySeeEvent = true;
    return super.add(handler);
  }

  /** Adds a handler that is called with the event; twice the same one is once, as with all handlers. */
  addForEvents(handler: WorkerEventHandler): () => void {
    let adapter = this.#adapters.get(handler);
    if (adapter === undefined) {
      adapter = (info) => handler(eventOf(info));
      this.#adapters.set(handler, adapter);
    }
    return super.add(adapter);
  }
}
