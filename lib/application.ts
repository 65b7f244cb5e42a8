import { showEvent, showRequests, tied } from "./dispatch/message-context.js";
import { MessageHandlers } from "./dispatch/message-handlers.js";
import type { SettlementFactory } from "./dispatch/settlement.js";
import type { WorkerEventHandler } from "./dispatch/types.js";
import { Handlers } from "./handlers.js";
import { errorMessage, type Logger } from "./logger.js";
import type { PeerLog } from "./peer-log.js";
import type {
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
} from "./types.js";

/** Any JSON object with a string `type`. */
export interface TypedMessage {
  type: string;
  [key: string]: unknown;
}

/** Who a message comes from. */
export interface Sender {
  toInfo(): WorkerInfo;
  readonly log: PeerLog;
}

const LONGEST_TYPE_LOGGED = 1_024;

export const MISSING_TYPE = "Message missing type field";

export function isTyped(message: unknown): message is TypedMessage {
  return typeof (message as { type?: unknown } | null)?.type === "string";
}

/** A type may be as long as a message. */
function loggable(type: string): string {
  return type.length <= LONGEST_TYPE_LOGGED ? type : `${type.slice(0, LONGEST_TYPE_LOGGED)}...`;
}

/** A message, or what is wrong with the text as a log line says it. */
export function parseMessage(text: string): TypedMessage | string {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return "Invalid JSON message from worker";
  }
  return isTyped(message) ? message : MISSING_TYPE;
}

/** What the application sees of its workers, however they are connected: the calls of its handlers, and the log around them. */
export class Application {
  readonly connected = new Handlers<Parameters<WorkerConnectedHandler>>();
  readonly disconnected = new Handlers<Parameters<WorkerDisconnectedHandler>>();
  /** Messages that are no JSON or have no type. */
  messagesInvalid = 0;
  /** Messages of types without a handler. */
  messagesUnhandled = 0;
  readonly #messageHandlers = new Map<string, MessageHandlers>();
  readonly #logger: Logger;
  readonly #settle: SettlementFactory;

  constructor(logger: Logger, settle: SettlementFactory) {
    this.#logger = logger;
    this.#settle = settle;
  }

  onMessage(type: string, handler: WorkerMessageHandler): () => void {
    return this.#handlersOf(type).add(handler);
  }

  onEvent(type: string, handler: WorkerEventHandler): () => void {
    return this.#handlersOf(type).addForEvents(handler);
  }

  /** A worker has entered the pool. */
  workerEntered(info: WorkerInfo): void {
    if (this.#logger.isHeard) {
      const { models, maxConcurrentRequests } = info.capabilities;
      this.#logger.debug("Worker registered", {
        workerId: info.id,
        workerName: info.name,
        models: models.map((model) => model.modelId),
        maxConcurrentRequests,
      });
    }
    this.connected.call([showRequests(info)], this.#reportConnected);
  }

  /** Another connection takes a worker's place, which the worker has not yet left. */
  workerReplaced(info: WorkerInfo): void {
    const pending = info.pendingRequestIds;
    if (pending.size === 0) return;
    this.#logger.warn("Replaced worker had pending requests", { workerId: info.id, count: pending.size });
    this.#tellDisconnected(info, pending);
  }

  /** A worker's connection has ended; `remove` takes the worker out of the pool. */
  workerLeft(info: WorkerInfo, code: number, reason: string, remove: () => void): void {
    const workerId = info.id;
    const pending = new Set(info.pendingRequestIds);
    if (pending.size > 0) {
      this.#logger.warn("Worker disconnected with pending requests", { workerId, count: pending.size });
    }
    remove();
    this.#logger.debug("Worker disconnected", { workerId, code, reason });
    this.#tellDisconnected(info, pending);
  }

  /** Something came that is no message; `what` is what {@link parseMessage} says of it. */
  reject(sender: Sender, what: string): void {
    this.messagesInvalid++;
    sender.log.warn(what);
  }

  /** Calls the handlers of a message. */
  deliver(sender: Sender, message: TypedMessage): void {
    const { type } = message;
    const handlers = this.#messageHandlers.get(type);
    if (handlers === undefined || handlers.isEmpty) {
      this.messagesUnhandled++;
      return sender.log.warn("Unhandled message type from worker", { type: loggable(type) });
    }
    const info = tied(sender.toInfo(), sender, message, this.#settle);
    if (handlers.maySeeEvent) showEvent(info);
    handlers.deliver(info, message, this.#reportThrown);
  }

  readonly #reportThrown = (type: string, thrown: unknown): void => {
    this.#logger.error("Error in message handler", { type, error: errorMessage(thrown) });
  };

  readonly #reportConnected = (thrown: unknown): void => {
    this.#logger.error("Error in connected handler", { error: errorMessage(thrown) });
  };

  readonly #reportDisconnected = (thrown: unknown): void => {
    this.#logger.error("Error in disconnected handler", { error: errorMessage(thrown) });
  };

  #handlersOf(type: string): MessageHandlers {
    let handlers = this.#messageHandlers.get(type);
    if (handlers === undefined) this.#messageHandlers.set(type, (handlers = new MessageHandlers()));
    return handlers;
  }

  #tellDisconnected(info: WorkerInfo, pending: ReadonlySet<string>): void {
    this.disconnected.call([showRequests(info), pending], this.#reportDisconnected);
  }
}
