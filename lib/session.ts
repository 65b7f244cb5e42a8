import type { CapabilitiesCopies, CapabilitiesCopy } from "./capabilities-copy.js";
import type { CloseReason } from "./close-reasons.js";
import type { Changes } from "./changes.js";
import { observedMap, observedSet, quietly } from "./live-collections.js";
import type { Logger } from "./logger.js";
import type { Heartbeats } from "./heartbeats.js";
import { binding } from "./native.js";
import { PeerLog } from "./peer-log.js";
import type { RequestsInFlight } from "./requests-in-flight.js";
import { SessionSocket } from "./session-socket.js";
import type { ConnectedWorker, WorkerCapabilities, WorkerInfo } from "./types.js";
import { WorkerStatus } from "./worker-status.js";

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

/** The fleet, as far as a session needs it. */
export interface Surroundings extends Home {
  readonly changes: Changes;
  readonly copies: CapabilitiesCopies;
  readonly requests: RequestsInFlight;
  readonly heartbeats: Heartbeats;
  /** Takes note of heartbeats of unhealthy workers. */
  recover(): void;
  statusChanged(before: WorkerStatus, after: WorkerStatus): void;
}

/** No place in the pool: not yet or no more. */
export const NO_SLOT = -1;

/**
 * A registered worker, which is also the {@link ConnectedWorker} of the server's pool: what it is doing, and the set, map,
 * dates and capabilities that infos hand out.
 *
 * It is the authority on its status and its requests; the native pool, which selects, is told of changes when it is
 * asked next. See docs/decisions/0007-tracking.md.
 */
export class Session implements ConnectedWorker {
  id: string;
  name: string;
  capabilities: WorkerCapabilities;
  sessionId: string;
  connectedAt: Date;
  completedRequests = 0;
  slot = NO_SLOT;
  /** Counts registrations, so it orders sessions. */
  readonly sequence: number;
  /** Its place among equally loaded workers; see dispatch/collation-order.ts. */
  precedence = 0;
  changeAt = -1;
  readonly #fleet: Surroundings;
  #told: CapabilitiesCopy;
  #status = WorkerStatus.Available;
  #activeRequests = 0;
  /** The date of the last heartbeat that was looked at, and the time it was made for. */
  #lastHeartbeat: Date;
  #lastHeartbeatMs: number;
  #websocket: SessionSocket | undefined;
  #log: PeerLog | undefined;
  #pendingRequests: Set<string> | undefined;
  #requestCategories: Map<string, string> | undefined;
  #categoryActiveRequests: Map<string, number> | undefined;

  constructor(fleet: Surroundings, sequence: number, registration: Registration) {
    this.id = registration.id;
    this.name = registration.name;
    this.capabilities = registration.capabilities;
    this.sessionId = registration.sessionId;
    this.connectedAt = new Date();
    this.sequence = sequence;
    this.#fleet = fleet;
    this.#told = fleet.copies.of(registration.capabilities);
    this.#lastHeartbeat = this.connectedAt;
    this.#lastHeartbeatMs = this.connectedAt.getTime();
  }

  /** Takes its place in the native pool. */
  enter(slot: number): void {
    this.slot = slot;
    binding.setLastHeartbeat(this.#fleet.number, slot, this.#lastHeartbeatMs);
  }

  /** Gives its place up and keeps showing its last state. */
  leave(): void {
    this.#lastHeartbeat = this.lastHeartbeat;
    for (const requestId of this.#pendingRequests ?? []) this.#fleet.requests.remove(requestId, this);
    this.slot = NO_SLOT;
  }

  get status(): WorkerStatus {
    if (this.#status === WorkerStatus.Unhealthy) this.#fleet.recover();
    return this.#status;
  }

  set status(status: WorkerStatus) {
    const before = this.#status;
    this.#status = status;
    if (this.slot === NO_SLOT) return;
    // Also when it was so before: a heartbeat that nobody has taken note of came before this.
    if (status === WorkerStatus.Unhealthy) binding.markUnhealthy(this.#fleet.number, this.slot);
    if (status !== before) this.#fleet.statusChanged(before, status);
    this.#noteChange();
  }

  get activeRequests(): number {
    return this.#activeRequests;
  }

  set activeRequests(count: number) {
    this.#activeRequests = count;
    this.#noteChange();
  }

  get lastHeartbeat(): Date {
    if (this.slot === NO_SLOT) return this.#lastHeartbeat;
    const ms = this.#fleet.heartbeats.of(this.slot)!;
    if (ms !== this.#lastHeartbeatMs) {
      this.#lastHeartbeat = new Date(ms);
      this.#lastHeartbeatMs = ms;
    }
    return this.#lastHeartbeat;
  }

  set lastHeartbeat(date: Date) {
    this.#lastHeartbeat = date;
    this.#lastHeartbeatMs = date.getTime();
    binding.setLastHeartbeat(this.#fleet.number, this.slot, this.#lastHeartbeatMs);
  }

  get websocket(): SessionSocket {
    return (this.#websocket ??= new SessionSocket(this.#fleet.number, this));
  }

  /** Its socket, if somebody has asked for it, who may listen to its events. */
  get observedSocket(): SessionSocket | undefined {
    return this.#websocket;
  }

  get pendingRequests(): Set<string> {
    return (this.#pendingRequests ??= observedSet<string>(this));
  }

  get requestCategories(): Map<string, string> {
    return (this.#requestCategories ??= new Map());
  }

  get categoryActiveRequests(): Map<string, number> {
    return (this.#categoryActiveRequests ??= observedMap<string, number>(this));
  }

  get log(): PeerLog {
    return (this.#log ??= new PeerLog(this.#fleet.logger));
  }

  /** An id is added to the set by hand. */
  added(requestId: string): void {
    if (this.slot !== NO_SLOT) this.#fleet.requests.add(requestId, this);
  }

  /** An id is deleted from the set by hand. */
  deleted(requestId: string): void {
    this.#fleet.requests.remove(requestId, this);
  }

  /** A count of the map is set or deleted by hand. */
  counted(category: string, count: number | undefined): void {
    this.#tellCategory(category, count);
  }

  /** A fresh info of this moment. */
  toInfo(): WorkerInfo {
    return {
      id: this.id,
      name: this.name,
      status: this.status,
      capabilities: this.capabilities,
      sessionId: this.sessionId,
      connectedAt: this.connectedAt,
      lastHeartbeat: this.lastHeartbeat,
      activeRequests: this.#activeRequests,
      completedRequests: this.completedRequests,
      pendingRequestIds: this.pendingRequests,
      categoryActiveRequests: this.categoryActiveRequests,
    };
  }

  /** Tells the native core what was edited in the capabilities. True: something was. */
  tellEdits(): boolean {
    const { capabilities } = this;
    if (this.#told.matches(capabilities ?? {})) return false;
    this.#told = this.#fleet.copies.of(capabilities ?? {});
    const max = Number(capabilities?.maxConcurrentRequests);
    const json = JSON.stringify(capabilities) ?? "{}";
    binding.setCapabilities(this.#fleet.number, this.slot, json, max);
    // Perhaps there are limits now for what was not limited before.
    for (const [category, count] of this.#categoryActiveRequests ?? []) this.#tellCategory(category, count);
    return true;
  }

  /** Tells the native core when the date of the last heartbeat was edited. */
  tellEditedHeartbeat(): void {
    const ms = this.#lastHeartbeat.getTime();
    if (ms === this.#lastHeartbeatMs) return;
    // A heartbeat that came since has a date of its own, to which the edit does not apply.
    const applies = this.#fleet.heartbeats.of(this.slot) === this.#lastHeartbeatMs;
    this.#lastHeartbeatMs = ms;
    if (applies) binding.setLastHeartbeat(this.#fleet.number, this.slot, ms);
  }

  /** Counts a request as in flight; at capacity it becomes busy, whatever it was. */
  track(requestId: string, category: string | undefined): void {
    quietly.add(this.pendingRequests, requestId);
    this.#fleet.requests.add(requestId, this);
    if (category !== undefined) {
      this.requestCategories.set(requestId, category);
      this.#countCategory(category, 1);
    } else if (this.#requestCategories !== undefined) {
      this.#requestCategories.delete(requestId);
    }
    const active = this.#activeRequests + 1;
    this.#activeRequests = active;
    if (active >= this.capabilities?.maxConcurrentRequests) this.status = WorkerStatus.Busy;
    else this.#noteChange();
  }

  /** Ends a request that it has; below its capacity a busy worker becomes available. */
  release(requestId: string, completed: boolean): void {
    quietly.deleteFromSet(this.pendingRequests, requestId);
    this.#fleet.requests.remove(requestId, this);
    const category = this.#requestCategories?.get(requestId);
    if (category !== undefined) {
      this.#requestCategories!.delete(requestId);
      this.#countCategory(category, -1);
    }
    const active = Math.max(0, this.#activeRequests - 1);
    this.#activeRequests = active;
    if (completed) this.completedRequests++;
    const isFree = active < this.capabilities?.maxConcurrentRequests;
    if (isFree && this.#status === WorkerStatus.Busy) this.status = WorkerStatus.Available;
    else this.#noteChange();
  }

  /** A heartbeat has come: an unhealthy worker is well again. */
  recover(): void {
    if (this.#status !== WorkerStatus.Unhealthy) return;
    const isFull = this.#activeRequests >= this.capabilities?.maxConcurrentRequests;
    this.status = isFull ? WorkerStatus.Busy : WorkerStatus.Available;
  }

  /** False: the connection does not take it. */
  send(text: string): boolean {
    return binding.send(this.#fleet.number, this.slot, text);
  }

  /** Starts the closing handshake. */
  close({ code, reason }: CloseReason): void {
    binding.close(this.#fleet.number, this.slot, code, reason);
  }

  /** Ends the connection without waiting for the peer's half of the closing handshake. */
  abandon(): void {
    binding.abandon(this.#fleet.number, this.slot);
  }

  #noteChange(): void {
    if (this.slot !== NO_SLOT) this.#fleet.changes.note(this, this.#status, this.#activeRequests);
  }

  #countCategory(category: string, difference: number): void {
    const counts = this.categoryActiveRequests;
    // The key stays, at 0.
    const count = Math.max(0, (counts.get(category) ?? 0) + difference);
    quietly.set(counts, category, count);
    this.#tellCategory(category, count);
  }

  /** Only limits make the native core ask for the count. */
  #tellCategory(category: string, count?: number): void {
    const limits: unknown = this.capabilities?.concurrencyLimits;
    const isLimited = typeof limits === "object" && limits !== null && category in limits;
    if (!isLimited || this.slot === NO_SLOT) return;
    binding.setCategoryActive(this.#fleet.number, this.slot, category, count && Number(count));
  }
}
