/**
 * The only module that knows the binding.
 *
 * A server's view is four doubles that native calls write and JavaScript reads right after the call: what an event is
 * about, or what is known of a worker. It spares an object per call.
 */
// Not `import * as`, which would put a getter in front of every call.
import binding = require("../native/binding.js");

export { binding };

/** Places of the view after `next`. */
export const enum EventView {
  Kind = 0,
  /** Slot of a worker or number of a bridge; -1: none. */
  Subject = 1,
  CloseCode = 2,
  WasBound = 3,
}

/** Places of the view after a call that shows a worker. */
export const enum WorkerView {
  Status = 0,
  Active = 1,
  Completed = 2,
  LastHeartbeat = 3,
}

/** What an event is; `src/raw/events.rs` has the same list. */
export const enum EventKind {
  None,
  Opened,
  TokenRefused,
  RegistrationRefused,
  Registered,
  Message,
  MessageDropped,
  InvalidJson,
  MissingType,
  UnknownHeartbeat,
  Closed,
  SocketError,
  BridgeOpened,
  BridgeReadable,
  BridgeWritable,
  BridgeClosed,
  Stopped,
}

/** Doubles in a view. */
export const VIEW_LENGTH = 4;
