import type { Session } from "./session.js";

/** Which session has which request, so that the end of one is found in a pool of any size. */
export class RequestsInFlight {
  /** Nearly always one; several, in order of registration, when the same id was tracked on several. */
  readonly #holders = new Map<unknown, Session | Session[]>();

  /** The first session in order that has a request. */
  holder(requestId: unknown): Session | undefined {
    const holders = this.#holders.get(requestId);
    return Array.isArray(holders) ? holders[0] : holders;
  }

  add(requestId: unknown, session: Session): void {
    const holders = this.#holders.get(requestId);
    if (holders === undefined) this.#holders.set(requestId, session);
    else if (holders !== session) this.#holders.set(requestId, together(holders, session));
  }

  remove(requestId: unknown, session: Session): void {
    const holders = this.#holders.get(requestId);
    if (holders === session) {
      this.#holders.delete(requestId);
    } else if (Array.isArray(holders)) {
      const others = holders.filter((holder) => holder !== session);
      if (others.length === 1) this.#holders.set(requestId, others[0]!);
      else this.#holders.set(requestId, others);
    }
  }

  clear(): void {
    this.#holders.clear();
  }
}

/** Those who had it and one more, in order of registration. */
function together(holders: Session | Session[], session: Session): Session[] {
  const others = [holders].flat().filter((holder) => holder !== session);
  const before = others.filter(({ sequence }) => sequence < session.sequence);
  return [...before, session, ...others.slice(before.length)];
}
