import { inspect } from "node:util";
import { CollationOrder } from "./dispatch/collation-order.js";
import { binding } from "./native.js";
import { requestKey, type Home, type Session } from "./session.js";
import type { WorkerInfo } from "./types.js";

/** How many sessions are looked at for edits by hand before each selection... */
const LOOKED_AT_TO_SELECT = 16;
/** ...and before each count, whose answer cannot be checked afterwards. */
const LOOKED_AT_TO_COUNT = 256;

/** The registered workers of one server: sessions by id, in order of registration, over the native pool. */
export class Fleet {
  readonly #home: Home;
  readonly #sessions = new Map<unknown, Session>();
  readonly #bySlot: (Session | undefined)[] = [];
  /** Where the next look for edits starts. */
  #nextLook = 0;
  /** From the first dispatch on; who does not dispatch does not pay for it. */
  #order: CollationOrder | undefined;

  constructor(home: Home) {
    this.#home = home;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Requests in flight on all workers. */
  get inFlight(): number {
    let count = 0;
    for (const session of this.#sessions.values()) count += session.pendingRequests.size;
    return count;
  }

  get(id: unknown): Session | undefined {
    return this.#sessions.get(id);
  }

  at(slot: number): Session | undefined {
    return this.#bySlot[slot];
  }

  values(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  /** Takes in the worker of the registration event that was taken last. */
  admit(session: Session): void {
    const slot = binding.admit(this.#home.number);
    session.enter(slot);
    this.#bySlot[slot] = session;
    this.#sessions.set(session.id, session);
    this.#order?.add(session);
  }

  remove(session: Session): void {
    const { slot } = session;
    session.leave();
    binding.remove(this.#home.number, slot);
    this.#bySlot[slot] = undefined;
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    this.#order?.removed();
  }

  /** Forgets all workers, whose native places the server is about to clear. */
  clear(): void {
    for (const session of this.#sessions.values()) session.leave();
    this.#sessions.clear();
    this.#bySlot.length = 0;
    this.#order = undefined;
  }

  /** The least loaded worker for a model; `null` if none is free. */
  select(model: string, category: string | undefined): WorkerInfo | null {
    if (this.#sessions.size === 0) return null;
    checkModel(model);
    this.#tellSomeEdits(LOOKED_AT_TO_SELECT);
    for (;;) {
      const slot = binding.select(this.#home.number, model, category);
      const session = this.#bySlot[slot];
      if (session === undefined) {
        // Before the answer is "nobody", no edit may be unseen.
        if (this.#tellAllEdits()) continue;
        return null;
      }
      const info = session.shownInfo();
      if (!session.tellEdits()) return info;
    }
  }

  /**
   * The first `most` workers that are available, below their capacity and the category's limit, and have the model if
   * one is given: by load, then in the order of `id.localeCompare`.
   */
  candidates(model: string | undefined, category: string | undefined, most: number): Session[] {
    if (this.#sessions.size === 0) return [];
    if (model !== undefined) checkModel(model);
    this.#order ??= new CollationOrder(this.#home, this.#sessions.values());
    this.#order.settle();
    this.#tellSomeEdits(LOOKED_AT_TO_SELECT);
    for (;;) {
      const found = this.#rank(model, category, most);
      // As in `select`: neither an answer that an edit rules out, nor "nobody else" while an edit is unseen.
      let isOutdated = false;
      for (const session of found) isOutdated = session.tellEdits() || isOutdated;
      if (found.length < most) isOutdated = this.#tellAllEdits() || isOutdated;
      if (!isOutdated) return found;
    }
  }

  /** The first worker that is available or busy. */
  selectAny(): WorkerInfo | null {
    return this.#bySlot[binding.selectAny(this.#home.number)]?.shownInfo() ?? null;
  }

  freeSlots(model: string, category: string | undefined): number {
    if (this.#sessions.size === 0) return 0;
    checkModel(model);
    this.#tellSomeEdits(LOOKED_AT_TO_COUNT);
    return binding.freeSlots(this.#home.number, model, category);
  }

  /** The same, but no worker counts as less than 0. */
  room(model: string, category: string | undefined): number {
    if (this.#sessions.size === 0) return 0;
    checkModel(model);
    this.#tellSomeEdits(LOOKED_AT_TO_COUNT);
    return binding.room(this.#home.number, model, category);
  }

  availableCount(): number {
    this.#tellSomeEdits(LOOKED_AT_TO_SELECT);
    return binding.availableCount(this.#home.number);
  }

  infos(): WorkerInfo[] {
    const infos: WorkerInfo[] = [];
    for (const session of this.#sessions.values()) infos.push(session.toInfo());
    return infos;
  }

  track(id: string, requestId: string, category: string | undefined): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) this.trackOn(session, requestId, category);
  }

  trackOn(session: Session, requestId: string, category: string | undefined): void {
    session.tellEdits();
    binding.track(this.#home.number, session.slot, requestKey(requestId), category);
    session.requestTracked(requestId, category);
  }

  release(requestId: string, completed: boolean): void {
    const slot = binding.release(this.#home.number, requestKey(requestId), completed);
    const session = this.#bySlot[slot];
    if (session === undefined) return;
    session.requestReleased(requestId);
    // The native side went by the capacity it knew.
    if (session.tellEdits()) session.becomeAvailable();
  }

  send(id: string, message: unknown): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    let text: string;
    try {
      text = JSON.stringify(message) ?? "";
    } catch {
      return false;
    }
    return session.send(text);
  }

  /** Throws what `JSON.stringify` throws. */
  broadcast(message: unknown): void {
    const text = JSON.stringify(message) ?? "";
    if (this.#sessions.size > 0) binding.broadcast(this.#home.number, text);
  }

  #rank(model: string | undefined, category: string | undefined, most: number): Session[] {
    const { number } = this.#home;
    const found: Session[] = [];
    for (
      let slot = binding.rank(number, most, model, category);
      slot >= 0;
      slot = binding.nextRanked(number)
    ) {
      const session = this.#bySlot[slot];
      if (session !== undefined) found.push(session);
      if (found.length === most) break;
    }
    return found;
  }

  /** Looks at a bounded number of sessions, so that selection costs the same in a pool of any size. */
  #tellSomeEdits(most: number): void {
    const slots = this.#bySlot;
    const count = Math.min(most, slots.length);
    for (let i = 0; i < count; i++) {
      if (this.#nextLook >= slots.length) this.#nextLook = 0;
      slots[this.#nextLook++]?.tellEdits();
    }
  }

  #tellAllEdits(): boolean {
    let any = false;
    for (const session of this.#sessions.values()) any = session.tellEdits() || any;
    return any;
  }
}

function checkModel(model: unknown): void {
  if (typeof model !== "string") throw new TypeError(`model: expected a string, got ${inspect(model)}`);
}
