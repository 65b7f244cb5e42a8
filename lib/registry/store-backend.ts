import { debuglog } from "node:util";

import type { CheckedFilter, CheckedLease } from "./arguments.js";
import type { BackendListener, RegistryBackend } from "./backend.js";
import { timeToLive } from "./config.js";
import type { Settings } from "./config.js";
import { EmbeddedStore } from "./embedded-store.js";
import { hasCode, registryError, workerNotFound } from "./errors.js";
import { KeyedLock } from "./keyed-lock.js";
import { StoreEventKind } from "./native.js";
import type { NativeStoreEvent } from "./native.js";
import { corruptRecord, keysOf, valueOf } from "./store-answers.js";
import type {
  MemoryStore,
  ReleaseOptions,
  Reservation,
  Worker,
  WorkerMetrics,
  WorkerRegistration,
  WorkerWithPriority,
} from "./types.js";
import { healthOf } from "./worker.js";

const WORKER_PREFIX = "task-sentinel/workers/";
const EVENT_PREFIX = "task-sentinel/events/";
const EVENT_TTL = 60_000;
/** Values that are read at the same time. */
const READS = 256;
const UNHEALTHY: CheckedFilter = { capabilities: [], health: 1 << 2, minAvailable: NaN };

/** A step that has changed nothing. */
const NOTHING = Symbol("nothing");

const debug = debuglog("worker-server-native:registry");

/**
 * Workers in a store that knows nothing of workers. Each record is read into a native store that holds it for the length
 * of one step, is changed there, and is written back.
 */
export class StoreBackend implements RegistryBackend {
  readonly #settings: Settings;
  readonly #memory: MemoryStore;
  readonly #listener: BackendListener;
  readonly #scratch = new EmbeddedStore();
  readonly #ranking: number;
  readonly #lock = new KeyedLock();
  readonly #unwatch: (() => void) | undefined;
  /** Workers that were seen, with the end of their time to live as far as it is known. */
  readonly #seen = new Map<string, number>();
  /** Workers that were registered here, whose end is written down here. */
  readonly #own = new Set<string>();
  #reported = new Set<string>();
  #lastEventKey = "";
  #clashes = 0;
  #ttl: number;

  constructor(settings: Settings, memory: MemoryStore, listener: BackendListener) {
    this.#settings = settings;
    this.#memory = memory;
    this.#listener = listener;
    if (settings.now !== undefined) this.#scratch.clock = settings.now;
    this.#ttl = timeToLive(settings, false);
    this.#ranking = this.#scratch.attach(settings.ranking);
    if (memory.compareAndSet === undefined && memory.update === undefined) {
      debug("the store has neither compareAndSet nor update: changes are atomic in this process only");
    }
    this.#unwatch = memory.watch?.(WORKER_PREFIX, (event) => {
      if (event.type !== "expire") return;
      this.#gone(event.key.slice(WORKER_PREFIX.length), "ttl").catch((error: unknown) =>
        this.#listener.failed(asError(error)),
      );
    });
  }

  now(): number {
    return this.#scratch.now();
  }

  setCleanupRunning(isRunning: boolean): void {
    this.#ttl = timeToLive(this.#settings, isRunning);
  }

  async register(id: string, registration: WorkerRegistration): Promise<Worker> {
    if (this.#settings.uniqueNodeId) await this.#unregisterNode(registration.nodeId);
    const scratch = this.#emptied();
    scratch.register(id, registration, false, this.#ttl);
    const json = scratch.get(keyOf(id))!;
    const worker = scratch.getWorker(this.#ranking, id)!;
    const event = this.#eventOf(scratch);
    await this.#memory.store(keyOf(id), json, this.#ttl);
    this.#renew(id);
    this.#own.add(id);
    await this.#storeEvent(event);
    this.#listener.registered(worker);
    return worker;
  }

  async unregister(id: string): Promise<void> {
    await this.#lock.run(id, async () => {
      await this.#memory.delete(keyOf(id));
      this.#seen.delete(id);
    });
    this.#own.delete(id);
    await this.#storeEvent(this.#goneEvent(id));
    this.#listener.unregistered(id, "explicit");
  }

  async heartbeat(id: string): Promise<void> {
    await this.#change(id, (scratch) => scratch.heartbeat(this.#ranking, id, this.#ttl));
  }

  async updateTaskCount(id: string, delta: number): Promise<void> {
    const isStrict = this.#settings.strictCapacity;
    await this.#change(id, (scratch) => scratch.updateTaskCount(id, delta, isStrict, this.#ttl));
  }

  async updateMetrics(id: string, metrics: Partial<WorkerMetrics>): Promise<void> {
    await this.#change(id, (scratch) => scratch.updateMetrics(id, metrics, this.#ttl));
  }

  async recordTaskCompletion(id: string, success: boolean, duration: number): Promise<void> {
    await this.#change(id, (scratch) => scratch.recordTaskCompletion(id, success, duration, this.#ttl));
  }

  async setDraining(id: string, draining: boolean): Promise<void> {
    await this.#change(id, (scratch) => scratch.setDraining(id, draining, this.#ttl));
  }

  async getWorker(id: string): Promise<Worker | null> {
    const value = await valueOf(this.#memory, keyOf(id));
    if (value === null) return null;
    return this.#loadedOne(keyOf(id), value).getWorker(this.#ranking, id);
  }

  async discover(filter: CheckedFilter): Promise<Worker[]> {
    const records = await this.#readAll();
    return this.#loaded(records).discover(this.#ranking, filter);
  }

  async rank(filter: CheckedFilter, limit: number): Promise<WorkerWithPriority[]> {
    const records = await this.#readAll();
    return this.#loaded(records).rank(this.#ranking, filter, limit);
  }

  async acquire(filter: CheckedFilter, count: number): Promise<WorkerWithPriority | null> {
    return this.#acquireWith(
      filter,
      count,
      (scratch) => scratch.acquire(this.#ranking, filter, count, this.#ttl) ?? NOTHING,
    );
  }

  async acquireLease(filter: CheckedFilter, lease: CheckedLease): Promise<Reservation | null> {
    return this.#acquireWith(
      filter,
      lease.count,
      (scratch) => scratch.acquireLease(this.#ranking, filter, lease, this.#ttl) ?? NOTHING,
    );
  }

  async renew(token: string, leaseMs: number | undefined): Promise<Date> {
    const end = await this.#changeReservation(
      token,
      (scratch) => scratch.renew(token, leaseMs, this.#ttl) ?? NOTHING,
    );
    if (end === NOTHING) throw registryError("RESERVATION_NOT_FOUND", "The reservation has ended");
    return new Date(end);
  }

  async release(token: string, options: ReleaseOptions & { durationMs: number }): Promise<boolean> {
    const released = await this.#changeReservation(token, (scratch) =>
      scratch.release(token, options, this.#ttl) ? true : NOTHING,
    );
    return released === true;
  }

  async cleanup(keepsAll: boolean): Promise<string[]> {
    const records = await this.#readAll();
    const scratch = this.#loaded(records);
    scratch.cleanup(this.#ranking, true);
    const changed = records.filter(([key, value]) => scratch.get(key) !== value).map(([key]) => idOf(key));
    const unhealthy = keepsAll ? [] : scratch.discover(this.#ranking, UNHEALTHY).map(({ id }) => id);
    for (const id of changed) {
      // Gone meanwhile: there is nothing left to write down.
      await this.#change(id, (step) => step.cleanup(this.#ranking, true)).catch(ignoreNotFound);
    }
    const removed: string[] = [];
    for (const id of unhealthy) if (await this.#removeUnhealthy(id)) removed.push(id);
    return removed;
  }

  close(): void {
    this.#unwatch?.();
    this.#scratch.close();
  }

  /** The native store without anything. Good until the next `await`. */
  #emptied(): EmbeddedStore {
    this.#scratch.onEvents = undefined;
    this.#scratch.clear();
    return this.#scratch;
  }

  #loaded(records: ReadonlyArray<[key: string, value: string]>): EmbeddedStore {
    const scratch = this.#emptied();
    for (const [key, value] of records) scratch.set(key, value, Infinity);
    this.#reportCorrupt(scratch, () => true);
    return scratch;
  }

  #loadedOne(key: string, value: string): EmbeddedStore {
    const scratch = this.#emptied();
    scratch.set(key, value, Infinity);
    this.#reportCorrupt(scratch, (other) => other === key);
    return scratch;
  }

  /** Changes one record. If `apply` returns {@link NOTHING}, nothing is written. */
  #change<T>(id: string, apply: (scratch: EmbeddedStore) => T): Promise<T> {
    const key = keyOf(id);
    return this.#lock.run(id, async () => {
      let events: NativeStoreEvent[] = [];
      let result: T | undefined;
      let worker: Worker | null = null;
      const step = (value: string | null): string | null => {
        events = [];
        if (value === null) throw workerNotFound(id);
        const scratch = this.#loadedOne(key, value);
        scratch.onEvents = (news) => events.push(...news);
        const applied = apply(scratch);
        result = applied;
        const after = scratch.get(key);
        worker = events.length === 0 ? null : scratch.getWorker(this.#ranking, id);
        return applied === NOTHING ? null : after;
      };
      await this.#write(key, step);
      for (const event of events) {
        if (event.kind === StoreEventKind.HealthChanged && worker !== null) {
          this.#listener.healthChanged(worker, healthOf(event.from), healthOf(event.to));
        }
      }
      return result as T;
    });
  }

  /** Replaces a value as safely as the store can. */
  async #write(key: string, step: (value: string | null) => string | null): Promise<void> {
    const memory = this.#memory;
    if (memory.update !== undefined) {
      await memory.update(key, step, this.#ttl);
      this.#renew(idOf(key));
      return;
    }
    for (;;) {
      const before = await valueOf(memory, key);
      const after = step(before);
      if (after === null) return;
      if (memory.compareAndSet === undefined) {
        await memory.store(key, after, this.#ttl);
      } else if (!(await memory.compareAndSet(key, before, after, this.#ttl))) {
        continue;
      }
      this.#renew(idOf(key));
      return;
    }
  }

  async #acquireWith<T>(
    filter: CheckedFilter,
    count: number,
    reserve: (scratch: EmbeddedStore) => T | typeof NOTHING,
  ): Promise<T | null> {
    for (;;) {
      const records = await this.#readAll();
      const best = this.#loaded(records).acquire(this.#ranking, filter, count, Infinity);
      if (best === null) return null;
      const reserved = await this.#change(best.id, reserve).catch(ignoreNotFound);
      if (reserved !== NOTHING) return reserved;
      // Somebody else was faster, so look again.
    }
  }

  async #changeReservation<T>(
    token: string,
    apply: (scratch: EmbeddedStore) => T | typeof NOTHING,
  ): Promise<T | typeof NOTHING> {
    const end = token.lastIndexOf("/");
    if (end < 0) return NOTHING;
    return this.#change(token.slice(0, end), apply).catch(ignoreNotFound);
  }

  #removeUnhealthy(id: string): Promise<boolean> {
    return this.#lock.run(id, async () => {
      const worker = await this.getWorker(id);
      if (worker?.healthStatus !== "unhealthy") return false;
      await this.#memory.delete(keyOf(id));
      this.#seen.delete(id);
      this.#own.delete(id);
      await this.#storeEvent(this.#goneEvent(id));
      this.#listener.unregistered(id, "cleanup");
      return true;
    });
  }

  async #unregisterNode(nodeId: string): Promise<void> {
    const workers = this.#loaded(await this.#readAll()).discover(this.#ranking, {
      capabilities: [],
      health: 0,
      minAvailable: NaN,
    });
    for (const worker of workers) if (worker.nodeId === nodeId) await this.unregister(worker.id);
  }

  async #readAll(): Promise<Array<[key: string, value: string]>> {
    const keys = await keysOf(this.#memory, WORKER_PREFIX);
    const records: Array<[string, string]> = [];
    for (let start = 0; start < keys.length; start += READS) {
      const some = keys.slice(start, start + READS);
      const values = await Promise.all(some.map((key) => valueOf(this.#memory, key)));
      values.forEach((value, index) => {
        if (value !== null) records.push([some[index]!, value]);
      });
    }
    await this.#noticeGone(new Set(records.map(([key]) => idOf(key))));
    return records;
  }

  /** Tells once of workers that were there and are not any more. */
  async #noticeGone(present: ReadonlySet<string>): Promise<void> {
    const now = this.now();
    for (const [id, end] of [...this.#seen]) {
      if (!present.has(id)) await this.#gone(id, now > end ? "ttl" : "explicit");
    }
    for (const id of present) if (!this.#seen.has(id)) this.#renew(id);
  }

  async #gone(id: string, reason: "ttl" | "explicit"): Promise<void> {
    if (!this.#seen.delete(id)) return;
    this.#listener.unregistered(id, reason);
    // One process writes it down: the one that registered the worker.
    if (this.#own.delete(id) && reason === "ttl") await this.#storeEvent(this.#goneEvent(id));
  }

  #renew(id: string): void {
    this.#seen.set(id, this.now() + this.#ttl);
  }

  #goneEvent(id: string): [key: string, json: string] {
    const scratch = this.#emptied();
    scratch.unregister(id);
    return this.#eventOf(scratch);
  }

  /** The event that the last step has stored; two in the same millisecond get different keys. */
  #eventOf(scratch: EmbeddedStore): [key: string, json: string] {
    const key = scratch.list(EVENT_PREFIX)[0]!;
    const json = scratch.get(key)!;
    this.#clashes = key === this.#lastEventKey ? this.#clashes + 1 : 0;
    this.#lastEventKey = key;
    return [this.#clashes === 0 ? key : `${key}-${this.#clashes}`, json];
  }

  /** The change itself is done, so a failure is told but does not fail the call. */
  async #storeEvent([key, json]: [key: string, json: string]): Promise<void> {
    try {
      await this.#memory.store(key, json, EVENT_TTL);
    } catch (error) {
      this.#listener.failed(asError(error));
    }
  }

  /** Each record once, until it is another or gone. */
  #reportCorrupt(scratch: EmbeddedStore, isAskedFor: (key: string) => boolean): void {
    const corrupt = new Map(scratch.corrupt().map(({ key, value }) => [key, value]));
    if (corrupt.size === 0 && this.#reported.size === 0) return;
    for (const key of this.#reported) {
      if (isAskedFor(key) && !corrupt.has(key)) this.#reported.delete(key);
    }
    for (const [key, reason] of corrupt) {
      if (this.#reported.has(key)) continue;
      this.#reported.add(key);
      this.#listener.failed(corruptRecord(key, reason));
    }
  }
}

function keyOf(id: string): string {
  return WORKER_PREFIX + id;
}

function idOf(key: string): string {
  return key.slice(WORKER_PREFIX.length);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function ignoreNotFound(error: unknown): typeof NOTHING {
  if (!hasCode(error, "WORKER_NOT_FOUND")) throw error;
  return NOTHING;
}
