import { inspect } from "node:util";
import { CapabilitiesCopies } from "./capabilities-copy.js";
import { Changes } from "./changes.js";
import { freeSlots, leastLoaded } from "./choosing.js";
import { CollationOrder } from "./dispatch/collation-order.js";
import { Heartbeats } from "./heartbeats.js";
import type { Logger } from "./logger.js";
import { binding } from "./native.js";
import { RequestsInFlight } from "./requests-in-flight.js";
import { type Home, type Registration, Session, type Surroundings } from "./session.js";
import type { WorkerInfo } from "./types.js";
import { WorkerStatus } from "./worker-status.js";

/** Up to so many workers, looking at each is faster than asking the native pool, and sees every edit by hand. */
const FEW = 24;
/** How many sessions of a larger pool are looked at for edits before each selection... */
const LOOKED_AT_TO_SELECT = 1;
/** ...and before an answer that cannot be checked afterwards: a count, or nobody. */
const LOOKED_AT_TO_BE_SURE = 256;

/** The registered workers of one server: sessions by id, in order of registration, over the native pool. */
export class Fleet implements Surroundings {
  readonly number: number;
  readonly view: Float64Array;
  readonly logger: Logger;
  readonly changes: Changes;
  readonly copies = new CapabilitiesCopies();
  readonly requests = new RequestsInFlight();
  readonly heartbeats: Heartbeats;
  readonly #sessions = new Map<unknown, Session>();
  readonly #bySlot: (Session | undefined)[] = [];
  /** All, to be walked through fast; made when it is needed after somebody came or went. */
  #inOrder: Session[] | undefined;
  #sequence = 0;
  #available = 0;
  #unhealthy = 0;
  #willPublish = false;
  /** Where the next look for edits starts. */
  #nextLook = 0;
  /** From the first dispatch on; who does not dispatch does not pay for it. */
  #order: CollationOrder | undefined;

  constructor({ number, view, logger }: Home) {
    this.number = number;
    this.view = view;
    this.logger = logger;
    this.changes = new Changes(number, view);
    this.heartbeats = new Heartbeats(number);
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
  admit(registration: Registration): Session {
    const session = new Session(this, this.#sequence++, registration);
    const slot = binding.admit(this.number);
    this.heartbeats.entered(slot);
    session.enter(slot);
    this.#bySlot[slot] = session;
    this.#sessions.set(session.id, session);
    this.#inOrder = undefined;
    this.#available++;
    this.#order?.add(session);
    return session;
  }

  remove(session: Session): void {
    const { slot, status } = session;
    session.leave();
    binding.remove(this.number, slot);
    this.#bySlot[slot] = undefined;
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    this.#inOrder = undefined;
    this.#count(status, -1);
    this.#order?.removed();
  }

  /** Forgets all workers, whose native places the server is about to clear. Returns them. */
  clear(): Session[] {
    // Not to be taken for changes of those who get the slots next.
    binding.applyChanges(this.number);
    const left = [...this.#sessions.values()];
    for (const session of left) session.leave();
    this.#sessions.clear();
    this.#bySlot.length = 0;
    this.#inOrder = undefined;
    this.#available = 0;
    this.#unhealthy = 0;
    this.#order = undefined;
    return left;
  }

  statusChanged(before: WorkerStatus, after: WorkerStatus): void {
    this.#count(before, -1);
    this.#count(after, 1);
    if (this.#willPublish) return;
    // Those who ask the native side how many are available are to be told soon, whether or not the pool is asked.
    this.#willPublish = true;
    queueMicrotask(() => {
      this.#willPublish = false;
      binding.applyChanges(this.number);
    });
  }

  /** Takes note of heartbeats of unhealthy workers. */
  recover(): void {
    if (this.#unhealthy === 0) return;
    for (
      let slot = binding.nextRecovered(this.number);
      slot >= 0;
      slot = binding.nextRecovered(this.number)
    ) {
      this.#bySlot[slot]?.recover();
    }
  }

  /** The least loaded worker for a model; `null` if none is free. */
  select(model: string, category: string | undefined): WorkerInfo | null {
    const { size } = this.#sessions;
    if (size === 0) return null;
    checkModel(model);
    this.recover();
    if (size <= FEW) {
      try {
        const found = leastLoaded(this.#all(), model, category, false) as Session | null;
        return found === null ? null : found.toInfo();
      } catch {
        // Capabilities are not what their type says; the native pool makes of them what can be made.
      }
    }
    this.#tellSomeEdits(size <= FEW ? FEW : LOOKED_AT_TO_SELECT);
    // Each time edits are found that nobody had told; what changes whenever it is read would be found for ever.
    for (let tries = size; ; tries--) {
      const slot = binding.select(this.number, model, category);
      const session = this.#bySlot[slot];
      if (session === undefined) {
        if (this.#tellSomeEdits(LOOKED_AT_TO_BE_SURE) && tries > 0) continue;
        return null;
      }
      const info = session.toInfo();
      if (!session.tellEdits() || tries <= 0) return info;
    }
  }

  /**
   * The first `most` workers that are available, below their capacity and the category's limit, and have the model if
   * one is given: by load, then in the order of `id.localeCompare`.
   */
  candidates(model: string | undefined, category: string | undefined, most: number): Session[] {
    if (this.#sessions.size === 0) return [];
    if (model !== undefined) checkModel(model);
    this.#order ??= new CollationOrder(this, this.#sessions.values());
    this.#order.settle();
    this.recover();
    this.#tellSomeEdits(this.#sessions.size <= FEW ? FEW : LOOKED_AT_TO_SELECT);
    for (let tries = this.#sessions.size; ; tries--) {
      const found = this.#rank(model, category, most);
      // As in `select`: neither an answer that an edit rules out, nor "nobody else" without having looked.
      let isOutdated = false;
      for (const session of found) isOutdated = session.tellEdits() || isOutdated;
      if (found.length < most) isOutdated = this.#tellSomeEdits(LOOKED_AT_TO_BE_SURE) || isOutdated;
      if (!isOutdated || tries <= 0) return found;
    }
  }

  /** The first worker that is available or busy. */
  selectAny(): WorkerInfo | null {
    this.recover();
    return this.#bySlot[binding.selectAny(this.number)]?.toInfo() ?? null;
  }

  freeSlots(model: string, category: string | undefined): number {
    const { size } = this.#sessions;
    if (size === 0) return 0;
    checkModel(model);
    this.recover();
    if (size <= FEW) {
      try {
        return freeSlots(this.#all(), model, category);
      } catch {
        // As in `select`.
      }
    }
    this.#tellSomeEdits(LOOKED_AT_TO_BE_SURE);
    return binding.freeSlots(this.number, model, category);
  }

  /** The same, but no worker counts as less than 0. */
  room(model: string, category: string | undefined): number {
    if (this.#sessions.size === 0) return 0;
    checkModel(model);
    this.recover();
    this.#tellSomeEdits(LOOKED_AT_TO_BE_SURE);
    return binding.room(this.number, model, category);
  }

  availableCount(): number {
    this.recover();
    return this.#available;
  }

  infos(): WorkerInfo[] {
    return this.#all().map((session) => session.toInfo());
  }

  track(id: string, requestId: string, category: string | undefined): void {
    this.#sessions.get(id)?.track(requestId, category);
  }

  release(requestId: string, completed: boolean): void {
    this.requests.holder(requestId)?.release(requestId, completed);
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
    if (this.#sessions.size > 0) binding.broadcast(this.number, text);
  }

  /** Looks at all sessions for edits by hand. */
  tellAllEdits(): void {
    for (const session of this.#sessions.values()) session.tellEdits();
  }

  #all(): Session[] {
    return (this.#inOrder ??= [...this.#sessions.values()]);
  }

  #count(status: WorkerStatus, difference: number): void {
    if (status === WorkerStatus.Available) this.#available += difference;
    else if (status === WorkerStatus.Unhealthy) this.#unhealthy += difference;
  }

  #rank(model: string | undefined, category: string | undefined, most: number): Session[] {
    const found: Session[] = [];
    for (
      let slot = binding.rank(this.number, most, model, category);
      slot >= 0;
      slot = binding.nextRanked(this.number)
    ) {
      const session = this.#bySlot[slot];
      if (session !== undefined) found.push(session);
      if (found.length === most) break;
    }
    return found;
  }

  /** Looks at a bounded number of sessions, so that a question costs the same in a pool of any size. True: found an edit. */
  #tellSomeEdits(most: number): boolean {
    const slots = this.#bySlot;
    const count = Math.min(most, slots.length);
    let any = false;
    for (let i = 0; i < count; i++) {
      if (this.#nextLook >= slots.length) this.#nextLook = 0;
      any = (slots[this.#nextLook++]?.tellEdits() ?? false) || any;
    }
    return any;
  }
}

function checkModel(model: unknown): void {
  if (typeof model !== "string") throw new TypeError(`model: expected a string, got ${inspect(model)}`);
}
