import type { CheckedFilter, CheckedLease } from "./arguments.js";
import type { BackendListener, RegistryBackend } from "./backend.js";
import { timeToLive } from "./config.js";
import type { Settings } from "./config.js";
import type { EmbeddedStore } from "./embedded-store.js";
import { registryError } from "./errors.js";
import type { SharedStore } from "./memory.js";
import { StoreEventKind } from "./native.js";
import type { NativeStoreEvent } from "./native.js";
import { corruptRecord } from "./store-answers.js";
import type {
  ReleaseOptions,
  Reservation,
  UnregisterReason,
  Worker,
  WorkerMetrics,
  WorkerRegistration,
  WorkerWithPriority,
} from "./types.js";
import { healthOf } from "./worker.js";

const REASONS: readonly UnregisterReason[] = ["explicit", "cleanup", "ttl"];

/** Workers in the native store of this process. */
export class EmbeddedBackend implements RegistryBackend {
  readonly #settings: Settings;
  readonly #shared: SharedStore;
  readonly #store: EmbeddedStore;
  readonly #listener: BackendListener;
  readonly #ranking: number;
  readonly #unsubscribe: () => void;
  /** Corrupt records that were reported, by their keys. */
  #reported = new Set<string>();
  #ttl: number;

  constructor(settings: Settings, shared: SharedStore, listener: BackendListener) {
    this.#settings = settings;
    this.#shared = shared;
    this.#store = shared.store;
    this.#listener = listener;
    if (settings.now !== undefined) this.#store.clock = settings.now;
    this.#ttl = timeToLive(settings, false);
    this.#ranking = this.#store.attach(settings.ranking);
    this.#unsubscribe = shared.subscribe((event) => this.#announce(event));
  }

  now(): number {
    return this.#store.now();
  }

  setCleanupRunning(isRunning: boolean): void {
    const { cleanupInterval, degradedThreshold } = this.#settings;
    this.#ttl = timeToLive(this.#settings, isRunning);
    if (isRunning) this.#store.expectCalls(cleanupInterval, degradedThreshold);
    else this.#store.expectCalls();
  }

  register(id: string, registration: WorkerRegistration): Worker | Promise<Worker> {
    this.#store.register(id, registration, this.#settings.uniqueNodeId, this.#ttl);
    const worker = this.#store.getWorker(this.#ranking, id);
    if (worker === null) throw registryError("STORE_CLOSED", "The store was closed by a listener");
    const pending = this.#shared.durable();
    return pending === undefined ? worker : pending.then(() => worker);
  }

  unregister(id: string): void | Promise<void> {
    this.#store.unregister(id);
    return this.#shared.durable();
  }

  heartbeat(id: string): void | Promise<void> {
    this.#store.heartbeat(this.#ranking, id, this.#ttl);
    return this.#shared.durable();
  }

  updateTaskCount(id: string, delta: number): void | Promise<void> {
    this.#store.updateTaskCount(id, delta, this.#settings.strictCapacity, this.#ttl);
    return this.#shared.durable();
  }

  updateMetrics(id: string, metrics: Partial<WorkerMetrics>): void | Promise<void> {
    this.#store.updateMetrics(id, metrics, this.#ttl);
    return this.#shared.durable();
  }

  recordTaskCompletion(id: string, success: boolean, duration: number): void | Promise<void> {
    this.#store.recordTaskCompletion(id, success, duration, this.#ttl);
    return this.#shared.durable();
  }

  setDraining(id: string, draining: boolean): void | Promise<void> {
    this.#store.setDraining(id, draining, this.#ttl);
    return this.#shared.durable();
  }

  getWorker(id: string): Worker | null {
    const worker = this.#store.getWorker(this.#ranking, id);
    if (worker === null) this.#reportCorrupt();
    return worker;
  }

  discover(filter: CheckedFilter): Worker[] {
    const workers = this.#store.discover(this.#ranking, filter);
    this.#reportCorrupt();
    return workers;
  }

  rank(filter: CheckedFilter, limit: number): WorkerWithPriority[] {
    const workers = this.#store.rank(this.#ranking, filter, limit);
    this.#reportCorrupt();
    return workers;
  }

  acquire(
    filter: CheckedFilter,
    count: number,
  ): WorkerWithPriority | null | Promise<WorkerWithPriority | null> {
    const worker = this.#store.acquire(this.#ranking, filter, count, this.#ttl);
    const pending = this.#shared.durable();
    return pending === undefined ? worker : pending.then(() => worker);
  }

  acquireLease(filter: CheckedFilter, lease: CheckedLease): Reservation | null | Promise<Reservation | null> {
    const reservation = this.#store.acquireLease(this.#ranking, filter, lease, this.#ttl);
    const pending = this.#shared.durable();
    return pending === undefined ? reservation : pending.then(() => reservation);
  }

  async renew(token: string, leaseMs: number | undefined): Promise<Date> {
    const end = this.#store.renew(token, leaseMs, this.#ttl);
    if (end === undefined) throw registryError("RESERVATION_NOT_FOUND", "The reservation has ended");
    await this.#shared.durable();
    return new Date(end);
  }

  async release(token: string, options: ReleaseOptions & { durationMs: number }): Promise<boolean> {
    const isReleased = this.#store.release(token, options, this.#ttl);
    await this.#shared.durable();
    return isReleased;
  }

  async cleanup(keepsAll: boolean): Promise<string[]> {
    const removed = this.#store.cleanup(this.#ranking, keepsAll);
    this.#reportCorrupt();
    await this.#shared.durable();
    return removed;
  }

  close(): void {
    this.#unsubscribe();
    this.#store.detach(this.#ranking);
  }

  #announce(event: NativeStoreEvent): void {
    const { kind, subject } = event;
    if (kind === StoreEventKind.Registered) {
      const worker = this.#store.getWorker(this.#ranking, subject);
      if (worker !== null) this.#listener.registered(worker);
    } else if (kind === StoreEventKind.Unregistered) {
      this.#listener.unregistered(subject, REASONS[event.from] ?? "explicit");
    } else if (kind === StoreEventKind.HealthChanged && event.ranking === this.#ranking) {
      const worker = this.#store.getWorker(this.#ranking, subject);
      if (worker !== null) {
        this.#listener.healthChanged(worker, healthOf(event.from), healthOf(event.to));
      }
    }
  }

  /** Each record once, until it is another or gone. */
  #reportCorrupt(): void {
    const corrupt = this.#store.corrupt();
    if (corrupt.length === 0 && this.#reported.size === 0) return;
    const before = this.#reported;
    this.#reported = new Set(corrupt.map(({ key }) => key));
    for (const { key, value } of corrupt) {
      if (!before.has(key)) this.#listener.failed(corruptRecord(key, value));
    }
  }
}
