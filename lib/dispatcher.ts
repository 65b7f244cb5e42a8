// Not the global, which a test may fake: the native side does not wait for that.
import { setImmediate } from "node:timers";
import { parseMessage, type Application, type Sender } from "./application.js";
import type { Fleet } from "./fleet.js";
import { errorMessage, type Logger } from "./logger.js";
import { binding, EventKind, EventView } from "./native.js";
import { type Home, Session } from "./session.js";
import { unknownWorkerInfo } from "./worker-info.js";

/** Most events handled before timers and sockets of the application get their turn. */
const MOST_PER_TURN = 250;
/** A session id stands before the text of a registration. */
const SESSION_ID_LENGTH = 36;

const unknownWorker: Sender = { toInfo: () => unknownWorkerInfo() };

/** What the dispatcher leaves to others. */
export interface OtherEvents {
  bridgeOpened(bridge: number, addresses: string | undefined): void;
  bridgeReadable(bridge: number): void;
  bridgeWritable(bridge: number): void;
  bridgeClosed(bridge: number): void;
  stopped(): void;
}

/** Brings the native server's events to the fleet, the logger and the application, in order. */
export class Dispatcher {
  readonly #home: Home;
  readonly #fleet: Fleet;
  readonly #application: Application;
  readonly #logger: Logger;
  readonly #others: OtherEvents;
  /** There may be more events, for which a turn is due. */
  #goesOn = false;

  constructor(home: Home, fleet: Fleet, application: Application, others: OtherEvents) {
    this.#home = home;
    this.#fleet = fleet;
    this.#application = application;
    this.#logger = home.logger;
    this.#others = others;
  }

  /** Called by the native side when there are events. */
  readonly wake = (): void => {
    if (!this.#goesOn) this.#turn();
  };

  #turn(): void {
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
    // Not by way of the native side: Node would make that call, and a thousand more, before it looks at anything else.
    this.#goesOn = true;
    setImmediate(() => {
      this.#goesOn = false;
      this.#turn();
    });
  }

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
    this.#application.workerEntered(session.toInfo());
    binding.acknowledge(this.#home.number, slot);
  }

  #replace(old: Session): void {
    this.#logger.debug("Replacing existing worker connection", { workerId: old.id });
    this.#application.workerReplaced(old.toInfo());
    // A handler may have stopped the server, which empties the fleet.
    if (this.#fleet.get(old.id) === old) this.#fleet.remove(old);
  }

  #closed(slot: number, code: number, reason: string, wasBound: boolean): void {
    const session = this.#fleet.at(slot);
    if (session !== undefined) {
      this.#application.workerLeft(session.toInfo(), code, reason, () => this.#fleet.remove(session));
    } else if (!wasBound) {
      this.#logger.debug("Unregistered WebSocket connection closed", { code, reason });
    }
  }

  #message(slot: number, text: string): void {
    const message = parseMessage(text);
    if (typeof message === "string") this.#logger.warn(message);
    else this.#application.deliver(this.#fleet.at(slot) ?? unknownWorker, message);
  }
}

/** The log context for an id that came as JSON text. */
function workerIdOf(json: string | undefined): { workerId: unknown } {
  return { workerId: json === undefined ? undefined : JSON.parse(json) };
}
