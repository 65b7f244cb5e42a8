import type { Fleet } from "./fleet.js";
import { Handlers } from "./handlers.js";
import { errorMessage, type Logger } from "./logger.js";
import { binding, EventKind, EventView } from "./native.js";
import { type Home, Session } from "./session.js";
import type {
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
} from "./types.js";
import { unknownWorkerInfo } from "./worker-info.js";

/** Most events handled before timers and sockets of the application get their turn. */
const MOST_PER_TURN = 1_000;
/** A session id stands before the text of a registration. */
const SESSION_ID_LENGTH = 36;

/** What the dispatcher leaves to others. */
export interface OtherEvents {
  bridgeOpened(bridge: number, addresses: string | undefined): void;
  bridgeReadable(bridge: number): void;
  bridgeWritable(bridge: number): void;
  bridgeClosed(bridge: number): void;
  stopped(): void;
}

/** Brings the native server's events to the fleet, the logger and the application's handlers, in order. */
export class Dispatcher {
  readonly connected = new Handlers<Parameters<WorkerConnectedHandler>>();
  readonly disconnected = new Handlers<Parameters<WorkerDisconnectedHandler>>();
  readonly #messageHandlers = new Map<string, Handlers<Parameters<WorkerMessageHandler>>>();
  readonly #home: Home;
  readonly #fleet: Fleet;
  readonly #logger: Logger;
  readonly #others: OtherEvents;

  constructor(home: Home, fleet: Fleet, others: OtherEvents) {
    this.#home = home;
    this.#fleet = fleet;
    this.#logger = home.logger;
    this.#others = others;
  }

  onMessage(type: string, handler: WorkerMessageHandler): () => void {
    let handlers = this.#messageHandlers.get(type);
    if (handlers === undefined) this.#messageHandlers.set(type, (handlers = new Handlers()));
    return handlers.add(handler);
  }

  /** Called by the native side when there are events. */
  readonly wake = (): void => {
    const { number, view } = this.#home;
    binding.observeClock(number, Date.now());
    for (let left = MOST_PER_TURN; left > 0; left--) {
      const text = binding.next(number);
      const kind = view[EventView.Kind]!;
      if (kind === EventKind.None) return;
      try {
        this.#handle(kind, view[EventView.Subject]!, text);
      } catch (thrown) {
        // Handlers and loggers are caught where they are called, so this is a bug of ours; it costs one event.
        this.#logger.error("Internal error", { error: errorMessage(thrown) });
      }
    }
    binding.wakeAgain(number);
  };

  #handle(kind: EventKind, subject: number, text: string | undefined): void {
    switch (kind) {
      case EventKind.Message:
        return this.#message(subject, text ?? "");
      case EventKind.Opened:
        return this.#logger.debug("New WebSocket connection from potential worker");
      case EventKind.TokenRefused:
        return this.#logger.warn("Worker registration rejected: invalid auth token", workerIdOf(text));
      case EventKind.RegistrationRefused:
        return this.#logger.warn("Invalid registration message from worker", workerIdOf(text));
      case EventKind.Registered:
        return this.#registered(this.#fleet.at(subject), text ?? "");
      case EventKind.MessageDropped:
        return this.#logger.warn("Message from unregistered worker dropped");
      case EventKind.InvalidJson:
        return this.#logger.warn("Invalid JSON message from worker");
      case EventKind.MissingType:
        return this.#logger.warn("Message missing type field");
      case EventKind.UnknownHeartbeat:
        return this.#logger.warn("Heartbeat from unknown worker", workerIdOf(text));
      case EventKind.Closed: {
        const { view } = this.#home;
        return this.#closed(subject, view[EventView.CloseCode]!, text ?? "", view[EventView.WasBound] === 1);
      }
      case EventKind.SocketError:
        return this.#logger.error("Worker WebSocket error", { error: text });
      case EventKind.BridgeOpened:
        return this.#others.bridgeOpened(subject, text);
      case EventKind.BridgeReadable:
        return this.#others.bridgeReadable(subject);
      case EventKind.BridgeWritable:
        return this.#others.bridgeWritable(subject);
      case EventKind.BridgeClosed:
        return this.#others.bridgeClosed(subject);
      case EventKind.Stopped:
        return this.#others.stopped();
      case EventKind.None:
        return;
    }
  }

  #registered(replaced: Session | undefined, text: string): void {
    const sessionId = text.slice(0, SESSION_ID_LENGTH);
    const { workerId, workerName, capabilities } = JSON.parse(text.slice(SESSION_ID_LENGTH));
    const session = new Session(this.#home, { id: workerId, name: workerName, capabilities, sessionId });
    if (replaced !== undefined) this.#replace(replaced);
    this.#fleet.admit(session);
    const { slot } = session;
    this.#logger.debug("Worker registered", {
      workerId,
      workerName,
      models: session.capabilities.models.map((model) => model.modelId),
      maxConcurrentRequests: session.capabilities.maxConcurrentRequests,
    });
    if (!this.connected.isEmpty) {
      const report = this.#reportThrow("Error in connected handler");
      this.connected.call([session.toInfo()], report);
    }
    binding.acknowledge(this.#home.number, slot);
  }

  #replace(old: Session): void {
    const workerId = old.id;
    this.#logger.debug("Replacing existing worker connection", { workerId });
    const pending = old.pendingRequests;
    if (pending.size > 0) {
      this.#logger.warn("Replaced worker had pending requests", { workerId, count: pending.size });
      this.#tellDisconnected(old.toInfo(), pending);
    }
    // A handler may have stopped the server, which empties the fleet.
    if (this.#fleet.get(workerId) === old) this.#fleet.remove(old);
  }

  #closed(slot: number, code: number, reason: string, wasBound: boolean): void {
    const session = this.#fleet.at(slot);
    if (session === undefined) {
      if (!wasBound) this.#logger.debug("Unregistered WebSocket connection closed", { code, reason });
      return;
    }
    const workerId = session.id;
    const pending = new Set(session.pendingRequests);
    if (pending.size > 0) {
      this.#logger.warn("Worker disconnected with pending requests", { workerId, count: pending.size });
    }
    this.#fleet.remove(session);
    this.#logger.debug("Worker disconnected", { workerId, code, reason });
    this.#tellDisconnected(session.toInfo(), pending);
  }

  #tellDisconnected(info: WorkerInfo, pending: ReadonlySet<string>): void {
    this.disconnected.call([info, pending], this.#reportThrow("Error in disconnected handler"));
  }

  #message(slot: number, text: string): void {
    let message: { type?: unknown } | null;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#logger.warn("Invalid JSON message from worker");
    }
    const type = message?.type;
    if (typeof type !== "string") return this.#logger.warn("Message missing type field");
    const handlers = this.#messageHandlers.get(type);
    if (handlers === undefined || handlers.isEmpty) {
      return this.#logger.warn("Unhandled message type from worker", { type });
    }
    const info = this.#fleet.at(slot)?.toInfo() ?? unknownWorkerInfo();
    handlers.call([info, message], (thrown) => {
      this.#logger.error("Error in message handler", { type, error: errorMessage(thrown) });
    });
  }

  #reportThrow(message: string): (thrown: unknown) => void {
    return (thrown) => this.#logger.error(message, { error: errorMessage(thrown) });
  }
}

/** The log context for an id that came as JSON text. */
function workerIdOf(json: string | undefined): { workerId: unknown } {
  return { workerId: json === undefined ? undefined : JSON.parse(json) };
}
