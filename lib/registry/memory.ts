import { EmbeddedStore } from "./embedded-store.js";
import { withoutThrowing } from "./emitting.js";
import { StoreEventKind } from "./native.js";
import type { NativeStoreEvent } from "./native.js";
import type { ClaudeFlowMemoryOptions, FsyncPolicy, MemoryEvent, MemoryStore } from "./types.js";

const POLICIES: readonly FsyncPolicy[] = ["always", "everySecond", "never"];
const SYNC_INTERVAL = 1_000;
/** The longest delay of a timer. */
const MAX_DELAY = 2 ** 31 - 1;
const KEY_CHANGES = ["set", "delete", "expire"] as const;

type StoreListener = (event: NativeStoreEvent) => void;

/** What registries of this package share with a memory. */
export interface SharedStore {
  readonly store: EmbeddedStore;
  /** Tells of workers until the result is called. */
  subscribe(listener: StoreListener): () => void;
  /** Ends when the last change is as durable as the options ask; undefined: it is. */
  durable(): Promise<void> | undefined;
}

const shared = new WeakMap<object, SharedStore>();

/** The native store of a memory whose methods are its own; undefined: the methods must be called. */
export function sharedStoreOf(memory: MemoryStore): SharedStore | undefined {
  const isOriginal =
    Object.getPrototypeOf(memory) === ClaudeFlowMemory.prototype &&
    !["store", "get", "delete", "search", "list"].some((method) => Object.hasOwn(memory, method));
  return isOriginal ? shared.get(memory) : undefined;
}

/**
 * A store in this process, in Rust, optionally with a file that survives it.
 *
 * Values are strings. Registries on it do not parse the records of their workers; `get` and `search` make their JSON.
 *
 * @example
 * const memory = new ClaudeFlowMemory({ persistPath: "workers.log" });
 * const registry = new WorkerRegistry({ memory });
 */
export class ClaudeFlowMemory implements MemoryStore {
  readonly #store: EmbeddedStore;
  readonly #fsync: FsyncPolicy | undefined;
  readonly #listeners = new Set<StoreListener>();
  #watchers = 0;
  #syncTimer: NodeJS.Timeout | undefined;
  #expiryTimer: NodeJS.Timeout | undefined;
  /** When that timer is due. */
  #expiryAt = Infinity;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** @throws TypeError for a wrong option; an error with `STORE_IN_USE` or `STORE_WRITE_FAILED` for a file. */
  constructor(options: ClaudeFlowMemoryOptions = {}) {
    const { maxKeys = Infinity, persistPath, fsync = "everySecond" } = options;
    if (typeof maxKeys !== "number" || !(maxKeys >= 1)) throw new TypeError("maxKeys must be at least 1");
    if (persistPath !== undefined && (typeof persistPath !== "string" || persistPath === "")) {
      throw new TypeError("persistPath must be a path");
    }
    if (!POLICIES.includes(fsync)) throw new TypeError(`fsync must be one of ${POLICIES.join(", ")}`);
    this.#fsync = persistPath === undefined ? undefined : fsync;
    this.#store = new EmbeddedStore(persistPath, maxKeys);
    this.#store.onEvents = (events) => this.#dispatch(events);
    shared.set(this, {
      store: this.#store,
      subscribe: (listener) => this.#subscribe(listener),
      durable: () => this.#durable(),
    });
  }

  /** What was found in the file: lines that were damaged and skipped, bytes that were cut off at its end. */
  get recovery(): { damagedLines: number; truncatedBytes: number } {
    return this.#store.recovery;
  }

  /** How many keys there are. */
  get size(): number {
    return this.#store.size;
  }

  /**
   * Sets a value; it expires when more than `ttl` milliseconds have passed. 0 or absent: never.
   *
   * @throws TypeError if key or value is no string; `STORE_FULL` if there would be more than `maxKeys` keys.
   */
  async store(key: string, value: string, ttl?: number): Promise<void> {
    text("key", key);
    text("value", value);
    this.#store.set(key, value, lifetime(ttl));
    await this.#written();
  }

  /** A value; null if it is absent or has expired. */
  async get(key: string): Promise<string | null> {
    return this.#store.get(text("key", key));
  }

  /** Forgets a value, if it is there. */
  async delete(key: string): Promise<void> {
    this.#store.delete(text("key", key));
    await this.#written();
  }

  /** Keys that match, with their values. `*` stands for any run of characters; the whole key must match. */
  async search(pattern: string): Promise<Array<{ key: string; value: string }>> {
    return this.#store.search(text("pattern", pattern));
  }

  /** Keys that start with `namespace`, in the order in which they were first set. */
  async list(namespace = ""): Promise<string[]> {
    return this.#store.list(text("namespace", namespace));
  }

  /** Sets a value if the present one is `expected` (null: there is none). Returns whether it was. */
  async compareAndSet(key: string, expected: string | null, value: string, ttl?: number): Promise<boolean> {
    text("key", key);
    text("value", value);
    if (expected !== null) text("expected", expected);
    const isSet = this.#store.compareAndSet(key, expected, value, lifetime(ttl));
    if (isSet) await this.#written();
    return isSet;
  }

  /** Tells of changes of keys that start with `prefix`, until the result is called. */
  watch(prefix: string, listener: (event: MemoryEvent) => void): () => void {
    text("prefix", prefix);
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    const unsubscribe = this.#subscribe((event) => {
      const type = KEY_CHANGES[event.from];
      const isWanted = event.kind === StoreEventKind.KeyChanged && event.subject.startsWith(prefix);
      if (isWanted && type !== undefined) listener({ type, key: event.subject });
    });
    this.#watchers += 1;
    this.#store.watch(true);
    let isWatching = true;
    return () => {
      if (!isWatching) return;
      isWatching = false;
      unsubscribe();
      this.#watchers -= 1;
      if (this.#watchers === 0) this.#store.watch(false);
    };
  }

  /** Forgets everything. */
  clear(): void {
    this.#store.clear();
    this.#scheduleSync();
  }

  /** Writes what is not yet on the disk, and closes. Later calls reject with `STORE_CLOSED`. */
  async close(): Promise<void> {
    clearTimeout(this.#syncTimer);
    clearTimeout(this.#expiryTimer);
    try {
      if (this.#fsync !== undefined) await this.#sync();
    } finally {
      this.#store.close();
    }
  }

  #subscribe(listener: StoreListener): () => void {
    // Each call is a subscription of its own, also with the same function.
    const own: StoreListener = (event) => listener(event);
    this.#listeners.add(own);
    this.#scheduleExpiry();
    return () => {
      this.#listeners.delete(own);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#expiryTimer);
      this.#expiryAt = Infinity;
    };
  }

  #dispatch(events: NativeStoreEvent[]): void {
    for (const event of events) {
      for (const listener of [...this.#listeners]) {
        withoutThrowing(() => listener(event));
      }
    }
    this.#scheduleExpiry();
  }

  /** While somebody listens, expired keys are found without a call. The timer does not keep the process alive. */
  #scheduleExpiry(): void {
    if (this.#listeners.size === 0) return;
    const next = this.#store.nextExpiry() ?? Infinity;
    if (next >= this.#expiryAt) return;
    this.#expiryAt = next;
    clearTimeout(this.#expiryTimer);
    const delay = Math.min(Math.max(next - this.#store.now() + 1, 1), MAX_DELAY);
    this.#expiryTimer = setTimeout(() => {
      this.#expiryAt = Infinity;
      if (this.#listeners.size === 0) return;
      void this.#store.size;
      this.#scheduleExpiry();
    }, delay).unref();
  }

  async #written(): Promise<void> {
    const pending = this.#durable();
    if (pending !== undefined) await pending;
  }

  #durable(): Promise<void> | undefined {
    if (this.#fsync === "always") return this.#sync();
    this.#scheduleSync();
    return undefined;
  }

  #scheduleSync(): void {
    if (this.#fsync !== "everySecond" || this.#syncTimer !== undefined) return;
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined;
      this.#sync().catch((error: unknown) => {
        process.emitWarning(`The store's file could not be forced onto the disk: ${String(error)}`);
      });
    }, SYNC_INTERVAL).unref();
  }

  /** One sync serves all changes before it. */
  #sync(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#store.sync().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    // The one that runs may have begun before the last change.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#sync();
      });
    return this.#next;
  }
}

function text(name: string, value: string): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string`);
  return value;
}

/** A time to live that the native side understands. */
function lifetime(ttl: number | undefined): number {
  if (ttl === undefined || ttl === 0) return Infinity;
  if (typeof ttl !== "number" || !(ttl > 0)) throw new TypeError("ttl must be a number of at least 0");
  return ttl;
}
