import { CapabilitiesCopy } from "./capabilities-copy.js";
import { observedMap, observedSet, quietly } from "./live-collections.js";
import type { Logger } from "./logger.js";
import { binding, WorkerView } from "./native.js";
import type { ConnectedWorker, WorkerCapabilities, WorkerInfo, WorkerSocket } from "./types.js";
import { numberOf, statusOf, WorkerStatus } from "./worker-status.js";

/** What a worker's registration says, parsed, and the id of the session it began. */
export interface Registration {
  id: string;
  name: string;
  capabilities: WorkerCapabilities;
  sessionId: string;
}

/** The native server that a session lives on. */
export interface Home {
  readonly number: number;
  readonly view: Float64Array;
  readonly logger: Logger;
}

/** No place in the pool: not yet or no more. */
export const NO_SLOT = -1;

/**
 * A registered worker: the JavaScript face of a place in the native pool.
 *
 * It is also the {@link ConnectedWorker} of that pool: its scalar fields read and write the native state, its set, map,
 * dates and capabilities are the ones that infos hand out.
 */
export class Session implements ConnectedWorker {
  id: string;
  name: string;
  capabilities: WorkerCapabilities;
  sessionId: string;
  connectedAt: Date;
  readonly websocket: WorkerSocket;
  readonly requestCategories = new Map<string, string>();
  slot = NO_SLOT;
  /** Its place among equally loaded workers; see dispatch/collation-order.ts. */
  precedence = 0;
  readonly #home: Home;
  readonly #told: CapabilitiesCopy;
  /** The date of the last heartbeat that was looked at, and the time it was made for. */
  #lastHeartbeat: Date;
  #lastHeartbeatMs: number;
  /** The last state of a session that has left the pool. */
  #parting: WorkerInfo | undefined;
  #pendingRequests: Set<string> | undefined;
  #categoryActiveRequests: Map<string, number> | undefined;

  #wasFull = false;

  constructor(home: Home, registration: Registration) {
    this.id = registration.id;
    this.name = registration.name;
    this.capabilities = registration.capabilities;
    this.sessionId = registration.sessionId;
    this.connectedAt = new Date();
    this.websocket = new SessionSocket(home, this);
    this.#home = home;
    this.#told = new CapabilitiesCopy(registration.capabilities);
    this.#lastHeartbeat = this.connectedAt;
    this.#lastHeartbeatMs = this.connectedAt.getTime();
  }

  /** Takes its place in the native pool. */
  enter(slot: number): void {
    this.slot = slot;
    binding.setLastHeartbeat(this.#home.number, slot, this.#lastHeartbeatMs);
  }

  /** Gives its place up and keeps showing its last state. */
  leave(): void {
    this.#parting = this.toInfo();
    this.slot = NO_SLOT;
  }

  get status(): WorkerStatus {
    return this.#parting?.status ?? statusOf(this.#look(WorkerView.Status));
  }

  set status(status: WorkerStatus) {
    binding.setStatus(this.#home.number, this.slot, numberOf(status));
  }

  get activeRequests(): number {
    return this.#parting?.activeRequests ?? this.#look(WorkerView.Active);
  }

  set activeRequests(count: number) {
    binding.setActive(this.#home.number, this.slot, count);
  }

  get completedRequests(): number {
    return this.#parting?.completedRequests ?? this.#look(WorkerView.Completed);
  }

  set completedRequests(count: number) {
    binding.setCompleted(this.#home.number, this.slot, count);
  }

  get lastHeartbeat(): Date {
    return this.#parting?.lastHeartbeat ?? this.#dateOf(this.#look(WorkerView.LastHeartbeat));
  }

  set lastHeartbeat(date: Date) {
    this.#lastHeartbeat = date;
    this.#lastHeartbeatMs = date.getTime();
    binding.setLastHeartbeat(this.#home.number, this.slot, this.#lastHeartbeatMs);
  }

  get pendingRequests(): Set<string> {
    return (this.#pendingRequests ??= observedSet<string>({
      added: (id) => binding.adopt(this.#home.number, this.slot, requestKey(id)),
      deleted: (id) => binding.forget(this.#home.number, this.slot, requestKey(id)),
    }));
  }

  get categoryActiveRequests(): Map<string, number> {
    return (this.#categoryActiveRequests ??= observedMap<string, number>({
      set: (category, count) =>
        binding.setCategoryActive(this.#home.number, this.slot, category, Number(count)),
      deleted: (category) => binding.setCategoryActive(this.#home.number, this.slot, category),
    }));
  }

  /** A fresh info of this moment. */
  toInfo(): WorkerInfo {
    if (this.#parting !== undefined) return { ...this.#parting };
    this.tellEdits();
    binding.look(this.#home.number, this.slot);
    return this.shownInfo();
  }

  /** The same, when a native call has just shown this worker. */
  shownInfo(): WorkerInfo {
    const { view } = this.#home;
    return {
      id: this.id,
      name: this.name,
      status: statusOf(view[WorkerView.Status]!),
      capabilities: this.capabilities,
      sessionId: this.sessionId,
      connectedAt: this.connectedAt,
      lastHeartbeat: this.#dateOf(view[WorkerView.LastHeartbeat]!),
      activeRequests: view[WorkerView.Active]!,
      completedRequests: view[WorkerView.Completed]!,
      pendingRequestIds: this.pendingRequests,
      categoryActiveRequests: this.categoryActiveRequests,
    };
  }

  /** Tells the native core what was edited in the capabilities. True: something was. */
  tellEdits(): boolean {
    const { capabilities } = this;
    if (this.#told.matches(capabilities ?? {})) return false;
    this.#told.update(capabilities ?? {});
    const max = Number(capabilities?.maxConcurrentRequests);
    binding.setCapabilities(this.#home.number, this.slot, JSON.stringify(capabilities) ?? "{}", max);
    return true;
  }

  /** Tells the native core when the date of the last heartbeat was edited. */
  tellEditedHeartbeat(): void {
    const ms = this.#lastHeartbeat.getTime();
    if (ms === this.#lastHeartbeatMs) return;
    // A heartbeat that came since has a date of its own, to which the edit does not apply.
    const applies = this.#look(WorkerView.LastHeartbeat) === this.#lastHeartbeatMs;
    this.#lastHeartbeatMs = ms;
    if (applies) binding.setLastHeartbeat(this.#home.number, this.slot, ms);
  }

  /** Keeps the set and the map in step with a request that the native core tracks now. */
  requestTracked(requestId: string, category: string | undefined): void {
    quietly.add(this.pendingRequests, requestId);
    if (category === undefined) {
      this.requestCategories.delete(requestId);
      return;
    }
    this.requestCategories.set(requestId, category);
    const counts = this.categoryActiveRequests;
    quietly.set(counts, category, (counts.get(category) ?? 0) + 1);
  }

  /** Keeps the set and the map in step with a request that the native core has released. */
  requestReleased(requestId: string): void {
    quietly.deleteFromSet(this.pendingRequests, requestId);
    const category = this.requestCategories.get(requestId);
    if (category === undefined) return;
    this.requestCategories.delete(requestId);
    const counts = this.categoryActiveRequests;
    quietly.set(counts, category, Math.max(0, (counts.get(category) ?? 0) - 1));
  }

  /** Makes a busy worker available if its capacity allows it. */
  becomeAvailable(): void {
    const isFree = this.activeRequests < Number(this.capabilities.maxConcurrentRequests);
    if (this.status === WorkerStatus.Busy && isFree) this.status = WorkerStatus.Available;
  }

  /** False: the connection does not take it. */
  send(text: string): boolean {
    if (binding.send(this.#home.number, this.slot, text)) return true;
    // Closing is no news; a peer that does not read is, once.
    if (!this.#wasFull && binding.isOpen(this.#home.number, this.slot)) {
      this.#wasFull = true;
      this.#home.logger.warn("Worker does not read, message dropped", { workerId: this.id });
    }
    return false;
  }

  #look(place: WorkerView): number {
    const { number, view } = this.#home;
    return binding.look(number, this.slot) ? view[place]! : 0;
  }

  #dateOf(ms: number): Date {
    if (ms !== this.#lastHeartbeatMs) {
      this.#lastHeartbeat = new Date(ms);
      this.#lastHeartbeatMs = ms;
    }
    return this.#lastHeartbeat;
  }
}

/** A native connection with the face of a WebSocket, as far as a pool needs it. */
class SessionSocket implements WorkerSocket {
  readonly #home: Home;
  readonly #session: Session;

  constructor(home: Home, session: Session) {
    this.#home = home;
    this.#session = session;
  }

  get readyState(): number {
    return binding.isOpen(this.#home.number, this.#session.slot) ? 1 : 3;
  }

  send(data: string): void {
    this.#session.send(data);
  }

  close(code = 1000, reason = ""): void {
    binding.close(this.#home.number, this.#session.slot, code, reason);
  }
}

/** Request ids are strings by type; whatever else is used as one must not be mistaken for the string it prints as. */
export function requestKey(requestId: unknown): string {
  return typeof requestId === "string" ? requestId : `\0${typeof requestId}:${String(requestId)}`;
}
