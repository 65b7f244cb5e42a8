import type { Sender, TypedMessage } from "../application.js";
import { Given } from "../given.js";
import type { WorkerInfo } from "../types.js";
import type { SettlementFactory } from "./settlement.js";
import { requestsOf, snapshotOf } from "./snapshot.js";
import type { WorkerMessageEvent } from "./types.js";

/**
 * What the handlers of one message share, kept in private fields of the info they get: invisible to everybody, and
 * unlike an entry of a WeakMap free of charge.
 */
class MessageContext extends Given {
  readonly #sender: Sender;
  readonly #message: TypedMessage;
  readonly #settle: SettlementFactory;
  #event: WorkerMessageEvent | undefined;

  constructor(info: WorkerInfo, sender: Sender, message: TypedMessage, settle: SettlementFactory) {
    super(info);
    this.#sender = sender;
    this.#message = message;
    this.#settle = settle;
  }

  /** The event of an info's message; `undefined` for an object without one. */
  static eventOf(info: object): WorkerMessageEvent | undefined {
    return #event in info ? (info.#event ??= info.#makeEvent()) : undefined;
  }

  #makeEvent(): WorkerMessageEvent {
    const message = this.#message;
    const requestId = typeof message.requestId === "string" ? message.requestId : null;
    const { complete, fail } = this.#settle(requestId);
    // Not of the info: its counts may be older than its set and its map, which are live.
    const worker = snapshotOf(this.#sender.toInfo());
    return Object.freeze({ worker, message, requestId, complete, fail });
  }
}

/** Ties an info to the message it is handed out with, and returns it. */
export function tied(
  info: WorkerInfo,
  sender: Sender,
  message: TypedMessage,
  settle: SettlementFactory,
): WorkerInfo {
  return new MessageContext(info, sender, message, settle) as unknown as WorkerInfo;
}

/** The event of the message that an info is tied to; the same one each time. */
export function eventOf(info: WorkerInfo): WorkerMessageEvent {
  return MessageContext.eventOf(info)!;
}

// The fewer fields a descriptor has, the faster it is applied; six of them cost 0.5 us.
const descriptorOf = (name: keyof WorkerMessageEvent): PropertyDescriptor => ({
  get(this: object) {
    return MessageContext.eventOf(this)?.[name];
  },
});
const worker = descriptorOf("worker");
const message = descriptorOf("message");
const requestId = descriptorOf("requestId");
const complete = descriptorOf("complete");
const fail = descriptorOf("fail");
const requests: PropertyDescriptor = {
  get(this: object) {
    return MessageContext.eventOf(this)?.worker.requests;
  },
};

/** Makes a tied info show its event too, in properties that only those see who ask for them by name. */
export function showEvent(info: WorkerInfo): void {
  // One by one: Object.defineProperties takes twice the time.
  Object.defineProperty(info, "worker", worker);
  Object.defineProperty(info, "message", message);
  Object.defineProperty(info, "requestId", requestId);
  Object.defineProperty(info, "complete", complete);
  Object.defineProperty(info, "fail", fail);
  Object.defineProperty(info, "requests", requests);
}

/** Makes an info show its requests as a snapshot does, in a property that only those see who ask for it by name. */
export function showRequests(info: WorkerInfo): WorkerInfo {
  return Object.defineProperty(info, "requests", { value: requestsOf(info) });
}
