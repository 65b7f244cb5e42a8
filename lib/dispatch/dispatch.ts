import { inspect } from "node:util";
import type { Fleet } from "../fleet.js";
import type { Logger } from "../logger.js";
import type { Session } from "../session.js";
import { settlementOf } from "./settlement.js";
import { snapshotOf } from "./snapshot.js";
import type { DispatchedRequest, DispatchRequest } from "./types.js";

type Message = { type: string; requestId: string };

/** How many more candidates are asked for when all so far did not take the message: so many times as many. */
const GROWTH = 8;

/** Sends a message to the first candidate that takes it, and tracks it there; `null` if nobody does. */
export function dispatch<T extends Message>(
  fleet: Fleet,
  logger: Logger,
  request: DispatchRequest<T>,
): DispatchedRequest<T> | null {
  const { message } = request;
  const model = request.model ?? undefined;
  const category = request.category ?? undefined;
  if (typeof message !== "object" || message === null) {
    throw new TypeError(`message: expected an object, got ${inspect(message)}`);
  }
  const { requestId } = message;
  const text = textOf(message);
  const taker = firstThat(fleet, model, category, (session) => {
    if (text !== undefined && session.send(text)) return true;
    const context = { workerId: session.id, requestId, type: message.type };
    logger.warn("Failed to send dispatched message to worker", context);
    return false;
  });
  if (taker === undefined) return null;
  taker.track(requestId, category);
  const release = (id: string, completed: boolean) => fleet.release(id, completed);
  const { complete, fail } = settlementOf(requestId, release);
  return Object.freeze({ worker: snapshotOf(taker.toInfo()), message, requestId, complete, fail });
}

/** The first candidate to which `takes` says yes. Nearly always it is the first one, so more are asked for only then. */
function firstThat(
  fleet: Fleet,
  model: string | undefined,
  category: string | undefined,
  takes: (session: Session) => boolean,
): Session | undefined {
  const tried = new Set<Session>();
  for (let most = 1; ; most *= GROWTH) {
    const candidates = fleet.candidates(model, category, most);
    for (const session of candidates) {
      if (tried.has(session)) continue;
      if (takes(session)) return session;
      tried.add(session);
    }
    if (candidates.length < most) return undefined;
  }
}

/** `undefined` for what cannot be serialised, and so cannot be sent to anybody. */
function textOf(message: object): string | undefined {
  try {
    return JSON.stringify(message) ?? "";
  } catch {
    return undefined;
  }
}
