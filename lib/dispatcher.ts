// Not the global, which a test may fake: the native side does not wait for that.
import { setImmediate } from "node:timers";
import { type Application, isTyped, MISSING_TYPE, parseMessage, type Sender } from "./application.js";
import { virtualNow } from "./clock.js";
import { REPLACED, SHUTTING_DOWN } from "./close-reasons.js";
import type { Fleet } from "./fleet.js";
import { errorMessage, type Logger } from "./logger.js";
import { ORIGIN_REFUSED } from "./origins.js";
import { binding, EventKind, EventView, Refusal, RunsView } from "./native.js";
import { PeerLog } from "./peer-log.js";
import type { Home, Registration, Session } from "./session.js";
import type { SessionSocket } from "./session-socket.js";
import { unknownWorkerInfo } from "./worker-info.js";

/** Most events and messages handled before timers and sockets of the application get their turn. */
const MOST_PER_TURN = 250;

const REFUSALS = {
  [Refusal.TooManyConnections]: "Connection refused, there are too many",
  [Refusal.AcceptFailed]: "Connection could not be accepted",
  [Refusal.RegistrationTimeout]: "Worker did not register in time",
  [Refusal.RequestHeadTimeout]: "Request did not arrive in time",
  [Refusal.ForeignOrigin]: ORIGIN_REFUSED,
};

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
  /** Whoever has not registered. */
  readonly #stranger: Sender;
  /** There may be more events, for which a turn is due. */
  #goesOn = false;

  constructor(home: Home, fleet: Fleet, application: Application, others: OtherEvents) {
    this.#home = home;
    this.#fleet = fleet;
    this.#application = application;
    this.#logger = home.logger;
    this.#others = others;
    this.#stranger = { toInfo: () => unknownWorkerInfo(), log: new PeerLog(home.logger) };
  }

  /** Called by the native side when there are events. */
  readonly wake = (): void => {
    if (!this.#goesOn) this.#turn();
  };

  /** The server stops, and these are its workers no more. */
  stopped(sessions: readonly Session[]): void {
    for (const session of sessions) {
      if (session.observedSocket === undefined) continue;
      // As sockets do, after the call that closes them.
      process.nextTick(() => this.#tellSocket(session, (socket) => socket.ended(SHUTTING_DOWN)));
    }
  }

  #turn(): void {
    const { number, view } = this.#home;
    binding.observeClock(number, virtualNow());
    for (let left = MOST_PER_TURN; left > 0; left--) {
      const text = binding.next(number);
      const kind = view[EventView.Kind]!;
      if (kind === EventKind.None) return;
      if (kind === EventKind.Messages) {
        left -= this.#messages(view[EventView.Subject]!, text ?? "[]");
        continue;
      }
      try {
        this.#handle(kind, view[EventView.Subject]!, text);
      } catch (thrown) {
        this.#reportBug(thrown);
      }
    }
    // Not by way of the native side: Node would make that call, and a thousand more, before it looks at anything else.
    this.#goesOn = true;
    setImmediate(() => {
      this.#goesOn = false;
      this.#turn();
    });
  }

  /** Short messages come together, and are parsed together, which takes half the time. Returns how many there were. */
  #messages(runs: number, text: string): number {
    const messages: unknown[] = JSON.parse(text);
    const { view } = this.#home;
    let at = 0;
    for (let run = 0; run < runs; run++) {
      const place = RunsView.First + run * RunsView.PerRun;
      const slot = view[place]!;
      const end = at + view[place + 1]!;
      for (; at < end; at++) {
        try {
          const message = messages[at];
          const sender = this.#sender(slot);
          if (isTyped(message)) this.#application.deliver(sender, message);
          else this.#application.reject(sender, MISSING_TYPE);
        } catch (thrown) {
          this.#reportBug(thrown);
        }
      }
    }
    return at;
  }

  /** Handlers and loggers are caught where they are called, so what is thrown here is our fault; it costs one event. */
  #reportBug(thrown: unknown): void {
    this.#logger.error("Internal error", { error: errorMessage(thrown) });
  }

  #handle(kind: EventKind, subject: number, text: string | undefined): void {
    switch (kind) {
      case EventKind.Message:
        return this.#message(subject, text ?? "");
      case EventKind.Opened:
        return this.#logger.debug("New WebSocket connection from potential worker");
      case EventKind.Refused:
        return this.#refused(subject as Refusal, text);
      case EventKind.TokenRefused:
        return this.#logger.warn("Worker registration rejected: invalid auth token", workerIdOf(text));
      case EventKind.RegistrationRefused:
        return this.#logger.warn("Invalid registration message from worker", refusalOf(text));
      case EventKind.Registered:
        return this.#registered(this.#fleet.at(subject), text ?? "");
      case EventKind.MessageDropped:
        return this.#logger.warn("Message from unregistered worker dropped");
      case EventKind.InvalidJson:
        return this.#sender(subject).log.warn("Invalid JSON message from worker");
      case EventKind.MissingType:
        return this.#sender(subject).log.warn(MISSING_TYPE);
      case EventKind.UnknownHeartbeat:
        return this.#sender(subject).log.warn("Heartbeat from unknown worker", workerIdOf(text));
      case EventKind.OutboxFull:
        return this.#outboxFull(this.#fleet.at(subject));
      case EventKind.Closed: {
        const { view } = this.#home;
        return this.#closed(subject, view[EventView.CloseCode]!, text ?? "", view[EventView.WasBound] === 1);
      }
      case EventKind.SocketError:
        return this.#failed(subject, text ?? "");
      case EventKind.Frame:
        return this.#frame(subject, this.#home.view[EventView.CloseCode]!, text ?? "");
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
      case EventKind.Messages:
      case EventKind.None:
        return;
    }
  }

  #registered(replaced: Session | undefined, text: string): void {
    const registration: Registration = JSON.parse(text);
    if (replaced !== undefined) this.#replace(replaced);
    const session = this.#fleet.admit(registration);
    const { slot } = session;
    this.#application.workerEntered(session.toInfo());
    binding.acknowledge(this.#home.number, slot);
  }

  #replace(old: Session): void {
    this.#logger.debug("Replacing existing worker connection", { workerId: old.id });
    this.#application.workerReplaced(old.toInfo());
    // A handler may have stopped the server, which empties the fleet.
    if (this.#fleet.get(old.id) !== old) return;
    this.#fleet.remove(old);
    this.#tellSocket(old, (socket) => socket.ended(REPLACED));
  }

  #closed(slot: number, code: number, reason: string, wasBound: boolean): void {
    const session = this.#fleet.at(slot);
    if (session !== undefined) {
      this.#application.workerLeft(session.toInfo(), code, reason, () => this.#fleet.remove(session));
      this.#tellSocket(session, (socket) => socket.ended({ code, reason }));
    } else if (!wasBound) {
      this.#logger.debug("Unregistered WebSocket connection closed", { code, reason });
    }
  }

  #failed(slot: number, error: string): void {
    this.#logger.error("Worker WebSocket error", { error });
    this.#tellSocket(this.#fleet.at(slot), (socket) => socket.failed(error));
  }

  #frame(slot: number, opcode: number, text: string): void {
    this.#tellSocket(this.#fleet.at(slot), (socket) => socket.received(opcode, text));
  }

  /** Calls the application's listeners on a worker's socket, if there are any. */
  #tellSocket(session: Session | undefined, tell: (socket: SessionSocket) => void): void {
    const socket = session?.observedSocket;
    if (socket === undefined) return;
    try {
      tell(socket);
    } catch (thrown) {
      this.#logger.error("Error in WebSocket listener", { error: errorMessage(thrown) });
    }
  }

  #message(slot: number, text: string): void {
    const message = parseMessage(text);
    const sender = this.#sender(slot);
    if (typeof message === "string") this.#application.reject(sender, message);
    else this.#application.deliver(sender, message);
  }

  #sender(slot: number): Sender {
    return this.#fleet.at(slot) ?? this.#stranger;
  }

  #refused(refusal: Refusal, detail: string | undefined): void {
    const name = refusal === Refusal.ForeignOrigin ? "origin" : "error";
    this.#stranger.log.warn(REFUSALS[refusal], detail === undefined ? undefined : { [name]: detail });
  }

  #outboxFull(session: Session | undefined): void {
    if (session === undefined) return;
    this.#logger.warn("Worker does not read, message dropped", { workerId: session.id });
  }
}

/** The log context of a refused registration, which came as JSON text. */
function refusalOf(json: string | undefined): { workerId: unknown; error: unknown } {
  const { workerId, error } = JSON.parse(json ?? "{}");
  return { workerId, error };
}

/** The log context for an id that came as JSON text. */
function workerIdOf(json: string | undefined): { workerId: unknown } {
  return { workerId: json === undefined ? undefined : JSON.parse(json) };
}
