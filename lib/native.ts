/**
 * The only module that knows the binding.
 *
 * A server's view is an array of doubles shared with its native side: what a call has to say beside its result, so that
 * no object is made for it, and what has changed here since the native side was last asked (see changes.ts).
 */
// Not `import * as`, which would put a getter in front of every call.
import binding = require("../native/binding.js");

export { binding };

/** Places of the view after `next`. */
export const enum EventView {
  Kind = 0,
  /** Slot of a worker, number of a bridge, or how many runs of messages there are; -1: none. */
  Subject = 1,
  CloseCode = 2,
  WasBound = 3,
}

/** Places of the view after `nextOverdue`. */
export const enum OverdueView {
  /** Milliseconds. */
  Silence = 0,
  /** 1: presumed dead. */
  IsDead = 1,
}

/** Places of the view for what has changed; `src/fleets.rs` has the same. */
export const enum ChangesView {
  Count = 4,
  /** Slot, status and requests in flight of the first change. */
  First = 5,
  PerChange = 3,
  Most = 32,
}

/** Places of the view for a batch of messages: consecutive ones of one sender are a run. */
export const enum RunsView {
  /** Slot and number of messages of the first run. */
  First = ChangesView.First + ChangesView.PerChange * ChangesView.Most,
  PerRun = 2,
  Most = 64,
}

/** What an event is; `src/raw/events.rs` has the same list. */
export const enum EventKind {
  None,
  Opened,
  Refused,
  TokenRefused,
  RegistrationRefused,
  Registered,
  Messages,
  Message,
  MessageDropped,
  InvalidJson,
  MissingType,
  UnknownHeartbeat,
  OutboxFull,
  Closed,
  SocketError,
  BridgeOpened,
  BridgeReadable,
  BridgeWritable,
  BridgeClosed,
  Stopped,
  Frame,
}

/** What a `Refused` event is about; `Refusal` in crates/worker-server/src/events.rs has the same list. */
export const enum Refusal {
  TooManyConnections,
  AcceptFailed,
  RegistrationTimeout,
  RequestHeadTimeout,
  ForeignOrigin,
}

/** Doubles in a view. */
export const VIEW_LENGTH = RunsView.First + RunsView.PerRun * RunsView.Most;
