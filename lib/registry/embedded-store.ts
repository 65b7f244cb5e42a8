import type { CheckedFilter, CheckedLease } from "./arguments.js";
import { messageOf, registryError, workerNotFound } from "./errors.js";
import { Answer, binding, PLACES, Question, QuestionKind, StatusBit } from "./native.js";
import type { NativeRankingConfig, NativeStoreEvent } from "./native.js";
import type { ReleaseOptions, Reservation, WorkerMetrics, WorkerRegistration } from "./types.js";
import type { Worker, WorkerWithPriority } from "./types.js";
import { nonce } from "./worker-id.js";
import { readWorkers, withoutPriority } from "./worker.js";

const NO_FILTER: CheckedFilter = { capabilities: [], health: 0, minAvailable: NaN };
const NO_TEXTS: readonly string[] = [];

/** The native store with plain values: synchronous, for one thread. Times to live may be infinite. */
export class EmbeddedStore {
  /** The time in milliseconds since the Unix epoch. */
  clock: () => number = () => Date.now();
  /** Called with what happened, before the call that caused it returns. */
  onEvents: ((events: NativeStoreEvent[]) => void) | undefined;
  readonly #native: InstanceType<typeof binding.NativeRegistryStore>;
  readonly #number: number;
  readonly #places = new Float64Array(PLACES);
  readonly #maxKeys: number;
  #isClosed = false;

  constructor(path?: string, maxKeys = Infinity) {
    this.#maxKeys = maxKeys;
    this.#native = openNative(path);
    this.#number = this.#native.number;
  }

  get recovery(): { damagedLines: number; truncatedBytes: number } {
    return this.#native.recovery;
  }

  /** @throws RangeError if the clock shows what is no date. */
  now(): number {
    this.#assertOpen();
    const now = Math.trunc(this.clock());
    if (!binding.NativeRegistryStore.isValidTime(now)) {
      throw new RangeError(`now() must be milliseconds since the Unix epoch, not ${String(now)}`);
    }
    return now;
  }

  attach(config: NativeRankingConfig): number {
    this.#assertOpen();
    return this.#native.attach(config);
  }

  detach(ranking: number): void {
    if (!this.#isClosed) this.#native.detach(ranking);
  }

  /** Expects a call at least every `interval` milliseconds; after a long gap workers get `grace`. */
  expectCalls(interval?: number, grace?: number): void {
    if (!this.#isClosed) this.#native.expectCalls(this.now(), interval, grace);
  }

  register(id: string, registration: WorkerRegistration, isUniqueNode: boolean, ttl: number): void {
    this.#assertRoom();
    const { nodeId, capabilities, maxConcurrentTasks } = registration;
    const native = { id, nodeId, capabilities, maxConcurrentTasks, isUniqueNode };
    this.#native.register(native, ttl, this.now());
    this.#finish();
  }

  unregister(id: string): void {
    this.#native.unregister(id, this.now());
    this.#finish();
  }

  heartbeat(ranking: number, id: string, ttl: number): void {
    const status = binding.registryHeartbeat(this.#number, ranking, id, ttl, this.now());
    if (status !== 0) this.#explain(status, id);
  }

  updateTaskCount(id: string, delta: number, isStrict: boolean, ttl: number): void {
    const status = binding.registryTaskCount(this.#number, id, delta, isStrict, ttl, this.now());
    if (status !== 0) this.#explain(status, id);
  }

  recordTaskCompletion(id: string, success: boolean, duration: number, ttl: number): void {
    const status = binding.registryCompletion(this.#number, id, success, duration, ttl, this.now());
    if (status !== 0) this.#explain(status, id);
  }

  updateMetrics(id: string, metrics: Partial<WorkerMetrics>, ttl: number): void {
    const isFound = this.#native.updateMetrics(id, metrics, ttl, this.now());
    this.#finish();
    if (!isFound) throw workerNotFound(id);
  }

  setDraining(id: string, draining: boolean, ttl: number): void {
    const isFound = this.#native.setDraining(id, draining, ttl, this.now());
    this.#finish();
    if (!isFound) throw workerNotFound(id);
  }

  getWorker(ranking: number, id: string): Worker | null {
    const worker = this.#ask(QuestionKind.Get, ranking, { ...NO_FILTER, capabilities: [id] }, 1, 0)[0];
    return worker === undefined ? null : withoutPriority(worker);
  }

  discover(ranking: number, filter: CheckedFilter): Worker[] {
    return this.#ask(QuestionKind.Discover, ranking, filter, 0, 0).map(withoutPriority);
  }

  rank(ranking: number, filter: CheckedFilter, limit: number): WorkerWithPriority[] {
    return this.#ask(QuestionKind.Rank, ranking, filter, limit, 0);
  }

  acquire(ranking: number, filter: CheckedFilter, count: number, ttl: number): WorkerWithPriority | null {
    return this.#ask(QuestionKind.Acquire, ranking, filter, count, ttl)[0] ?? null;
  }

  acquireLease(ranking: number, filter: CheckedFilter, lease: CheckedLease, ttl: number): Reservation | null {
    const { count, leaseMs, owner } = lease;
    const texts = owner === undefined ? [nonce()] : [nonce(), owner];
    const found = this.#query(QuestionKind.AcquireLease, ranking, filter, count, ttl, leaseMs, texts);
    const token = found[0];
    if (token === undefined) return null;
    const worker = readWorkers(this.#places, found, 1, 1)[0]!;
    const expiresAt = new Date(this.#places[Answer.LeaseEnd]!);
    this.#explain(this.#places[Answer.Status]!, "");
    return { worker, token, expiresAt };
  }

  /** Undefined: the reservation has ended. */
  renew(token: string, leaseMs: number | undefined, ttl: number): number | undefined {
    const end = this.#native.renew(token, leaseMs, ttl, this.now());
    this.#finish();
    return end ?? undefined;
  }

  /** False: the reservation has ended. */
  release(token: string, options: ReleaseOptions & { durationMs: number }, ttl: number): boolean {
    const { success, durationMs } = options;
    const isReleased = this.#native.release(token, success, durationMs, ttl, this.now());
    this.#finish();
    return isReleased;
  }

  cleanup(ranking: number, keepsAll: boolean): string[] {
    // Changes of health are told while the workers are still there.
    this.#native.cleanup(ranking, true, this.now());
    this.#finish();
    if (keepsAll) return [];
    const removed = this.#native.cleanup(ranking, false, this.now());
    this.#finish();
    return removed;
  }

  /** @throws `STORE_FULL` if there would be more keys than allowed */
  set(key: string, value: string, ttl: number): void {
    const isSet = this.#native.set(key, value, ttl, this.#maxKeys, this.now());
    this.#finish();
    if (!isSet) throw this.#full();
  }

  get(key: string): string | null {
    const value = this.#native.get(key, this.now());
    this.#finish();
    return value ?? null;
  }

  delete(key: string): void {
    this.#native.delete(key, this.now());
    this.#finish();
  }

  compareAndSet(key: string, expected: string | null, value: string, ttl: number): boolean {
    if (expected === null) this.#assertRoom();
    const isSet = this.#native.compareAndSet(key, expected, value, ttl, this.now());
    this.#finish();
    return isSet;
  }

  search(pattern: string): Array<{ key: string; value: string }> {
    const found = this.#native.search(pattern, this.now());
    this.#finish();
    return found;
  }

  list(prefix: string): string[] {
    const keys = this.#native.list(prefix, this.now());
    this.#finish();
    return keys;
  }

  clear(): void {
    this.#assertOpen();
    this.#native.clear();
    this.#finish();
  }

  get size(): number {
    const size = this.#native.len(this.now());
    this.#finish();
    return size;
  }

  /** The earliest moment at which a key may expire; undefined: none does. */
  nextExpiry(): number | undefined {
    return this.#isClosed ? undefined : (this.#native.nextExpiry() ?? undefined);
  }

  /** Whether changes of keys are events. */
  watch(isWatched: boolean): void {
    if (!this.#isClosed) this.#native.watch(isWatched);
  }

  /** Keys of workers whose value is no record, with what is wrong with it. */
  corrupt(): Array<{ key: string; value: string }> {
    return this.#native.corrupt() ?? [];
  }

  /** Forces what is written onto the disk. */
  sync(): Promise<void> {
    return this.#native.sync();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close();
  }

  /** A new key must not be one too many. */
  #assertRoom(): void {
    if (this.#maxKeys !== Infinity && this.size >= this.#maxKeys) throw this.#full();
  }

  #full(): Error {
    return registryError("STORE_FULL", `The store has ${this.#maxKeys} keys already`);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw registryError("STORE_CLOSED", "The store is closed");
  }

  #ask(
    kind: QuestionKind,
    ranking: number,
    filter: CheckedFilter,
    number: number,
    ttl: number,
  ): WorkerWithPriority[] {
    const places = this.#places;
    const workers = readWorkers(
      places,
      this.#query(kind, ranking, filter, number, ttl, 0),
      places[Answer.Taken]!,
      0,
    );
    const status = places[Answer.Status]!;
    while (places[Answer.Left]! > 0) {
      const texts = binding.registryNextPage(this.#number, places) ?? [];
      for (const worker of readWorkers(places, texts, places[Answer.Taken]!, 0)) workers.push(worker);
    }
    if (status !== 0) this.#explain(status, "");
    return workers;
  }

  #query(
    kind: QuestionKind,
    ranking: number,
    filter: CheckedFilter,
    number: number,
    ttl: number,
    lease: number,
    leaseTexts: readonly string[] = NO_TEXTS,
  ): string[] {
    const places = this.#places;
    places[Question.Kind] = kind;
    places[Question.Ranking] = ranking;
    places[Question.Now] = this.now();
    places[Question.Ttl] = ttl;
    places[Question.Number] = number;
    places[Question.MinAvailable] = filter.minAvailable;
    places[Question.Health] = filter.health;
    places[Question.Lease] = lease;
    return binding.registryQuery(this.#number, places, filter.capabilities, leaseTexts) ?? [];
  }

  #explain(status: number | undefined, id: string): void {
    if (status === undefined) throw workerNotFound(id);
    if (status & (StatusBit.HasEvents | StatusBit.WriteFailed)) this.#finish();
    if (status & StatusBit.NotFound) throw workerNotFound(id);
    if (status & StatusBit.NoCapacity) {
      throw registryError("WORKER_NO_CAPACITY", `Worker ${id} has no capacity`);
    }
  }

  /** Tells what happened, then throws if the file could not be written. */
  #finish(): void {
    const events = this.#native.takeEvents();
    if (events !== null && events !== undefined) this.onEvents?.(events);
    const failure = this.#native.takeWriteError();
    if (typeof failure === "string") {
      throw registryError("STORE_WRITE_FAILED", `The change is not in the store's file: ${failure}`);
    }
  }
}

function openNative(path: string | undefined): InstanceType<typeof binding.NativeRegistryStore> {
  try {
    return new binding.NativeRegistryStore(path);
  } catch (cause) {
    const message = messageOf(cause);
    const isInUse = message.startsWith("INUSE");
    const text = isInUse ? "is in use by another store" : `cannot be opened: ${message}`;
    throw registryError(isInUse ? "STORE_IN_USE" : "STORE_WRITE_FAILED", `${path} ${text}`, { cause });
  }
}
