import { withoutThrowing } from "./emitting.js";
import { messageOf, registryError } from "./errors.js";
import type { RegistryErrorCode } from "./errors.js";
import { binding } from "./native.js";
import type { NativeRankingConfig } from "./native.js";
import { redisOptionsOf } from "./redis-options.js";
import type { RedisStoreOptions } from "./redis-options.js";
import type { MemoryEvent, MemoryStore } from "./types.js";

/** What the engine tells of, for all processes. */
export type RedisEvent =
  | { type: "registered"; id: string }
  | { type: "gone"; id: string; reason: string }
  | { type: "health"; id: string; from: number; to: number }
  | { type: "resync" };

/** What registries of this package use of a store. */
export interface RedisConnection {
  attach(config: NativeRankingConfig): number;
  call(registry: number, request: object): Promise<unknown>;
  subscribe(listener: (event: RedisEvent) => void): () => void;
}

const WORKER_PREFIX = "task-sentinel/workers/";
/** For keys and values the configuration of a registry does not matter. */
const NEUTRAL: NativeRankingConfig = {
  capacityWeight: 0.5,
  successWeight: 0.3,
  speedWeight: 0.2,
  degradedPenalty: 1,
  healthyThreshold: 600_000,
  degradedThreshold: 900_000,
};

const connections = new WeakMap<object, RedisConnection>();

/** The connection of a store; undefined: it is another kind of store. */
export function redisConnectionOf(memory: MemoryStore): RedisConnection | undefined {
  return connections.get(memory);
}

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/**
 * A store on Redis 6.2 or Valkey 7.2 and later, which the registries of several processes share. It connects at the first
 * call. While the engine is away, calls reject with `ERR_ENGINE_UNAVAILABLE` within `commandTimeoutMs`; nothing has to be
 * done when it is back.
 *
 * @example
 * const memory = new RedisStore({ url: "redis://127.0.0.1:6379", prefix: "shop" });
 * const registry = new WorkerRegistry({ memory });
 */
export class RedisStore implements MemoryStore {
  readonly #native: InstanceType<typeof binding.NativeRedisStore>;
  readonly #neutral: number;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: RedisEvent) => void>();
  #lastCall = 0;
  #isClosed = false;

  /** @throws TypeError that names the option; a password is never in its text. */
  constructor(options: RedisStoreOptions) {
    const json = JSON.stringify(redisOptionsOf(options));
    try {
      this.#native = new binding.NativeRedisStore(json, () => this.#take());
    } catch (cause) {
      throw new TypeError(messageOf(cause), { cause });
    }
    this.#neutral = this.#native.attach(NEUTRAL);
    connections.set(this, {
      attach: (config) => this.#native.attach(config),
      call: (registry, request) => this.#call(registry, request),
      subscribe: (listener) => this.#subscribe(listener),
    });
  }

  /** Sets a value; it expires after `ttl` milliseconds. 0 or absent: never. */
  async store(key: string, value: string, ttl?: number): Promise<void> {
    await this.#call(this.#neutral, {
      op: "set",
      key: text("key", key),
      value: text("value", value),
      ttl: lifetime(ttl),
    });
  }

  /** A value, or null. For the key of a worker: its record as JSON. */
  async get(key: string): Promise<string | null> {
    return (await this.#call(this.#neutral, { op: "get", key: text("key", key) })) as string | null;
  }

  /** Forgets a value, if it is there. */
  async delete(key: string): Promise<void> {
    await this.#call(this.#neutral, { op: "delete", key: text("key", key) });
  }

  /** Keys that match, with their values. `*` stands for any run of characters; the whole key must match. */
  async search(pattern: string): Promise<Array<{ key: string; value: string }>> {
    const found = await this.#call(this.#neutral, { op: "search", pattern: text("pattern", pattern) });
    return found as Array<{ key: string; value: string }>;
  }

  /** Keys that start with `namespace`: those of workers by registration, then the others in no order. */
  async list(namespace = ""): Promise<string[]> {
    return (await this.#call(this.#neutral, {
      op: "list",
      prefix: text("namespace", namespace),
    })) as string[];
  }

  /**
   * Sets a value if the present one is `expected` (null: there is none). Returns whether it was.
   *
   * @throws `ERR_ENGINE_REFUSED` for the key of a worker, which only the registry changes.
   */
  async compareAndSet(key: string, expected: string | null, value: string, ttl?: number): Promise<boolean> {
    text("key", key);
    text("value", value);
    const request = { op: "compareAndSet", key, expected, value, ttl: lifetime(ttl) };
    return (await this.#call(this.#neutral, request)) as boolean;
  }

  /**
   * Tells when a worker whose key starts with `prefix` is registered (`set`), removed (`delete`) or has expired (`expire`), in
   * any process, and of a gap by `resync`; until the result is called. Keys of other values are not watched.
   */
  watch(prefix: string, listener: (event: MemoryEvent) => void): () => void {
    text("prefix", prefix);
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    return this.#subscribe((event) => {
      if (event.type === "resync") {
        listener({ type: "resync" });
        return;
      }
      if (event.type === "health") return;
      const key = WORKER_PREFIX + event.id;
      if (!key.startsWith(prefix)) return;
      if (event.type === "registered") listener({ type: "set", key });
      else listener({ type: event.reason === "ttl" ? "expire" : "delete", key });
    });
  }

  /** Ends the connections. Calls that wait reject with `STORE_CLOSED`, like later ones. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#native.close();
    for (const { reject } of this.#pending.values()) reject(closed());
    this.#pending.clear();
    this.#listeners.clear();
  }

  #call(registry: number, request: object): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#lastCall = this.#lastCall >= 0xffff_ffff ? 1 : this.#lastCall + 1;
      this.#native.call(this.#lastCall, registry, toJson(request));
      this.#pending.set(this.#lastCall, { resolve, reject });
      if (this.#pending.size === 1) this.#native.setKeepAlive(true);
    });
  }

  #subscribe(listener: (event: RedisEvent) => void): () => void {
    const own = (event: RedisEvent): void => listener(event);
    this.#listeners.add(own);
    if (!this.#isClosed) this.#native.follow();
    return () => void this.#listeners.delete(own);
  }

  #take(): void {
    const messages = this.#native.take();
    if (messages === null || messages === undefined) return;
    for (let at = 0; at < messages.length; at += 3) {
      this.#handle(Number(messages[at]), messages[at + 1]!, messages[at + 2]!);
    }
    if (this.#pending.size === 0 && !this.#isClosed) this.#native.setKeepAlive(false);
  }

  #handle(call: number, code: string, body: string): void {
    if (call === 0) {
      this.#announce(code, body);
      return;
    }
    const pending = this.#pending.get(call);
    this.#pending.delete(call);
    if (code === "") pending?.resolve(JSON.parse(body));
    else pending?.reject(registryError(code as RegistryErrorCode, body));
  }

  #announce(kind: string, body: string): void {
    if (kind === "warning") {
      process.emitWarning(body);
      return;
    }
    const event = eventOf(kind, body);
    for (const listener of [...this.#listeners]) withoutThrowing(() => listener(event));
  }
}

/** Halves of characters, which have no form in UTF-8, become replacement characters, as in the embedded store. */
function toJson(request: object): string {
  const json = JSON.stringify(request);
  if (!/\\ud[89a-f]/.test(json)) return json;
  return JSON.stringify(request, (_key, value: unknown) =>
    typeof value === "string" ? Buffer.from(value, "utf8").toString("utf8") : value,
  );
}

/** The words before the id of a worker, which may have spaces in it, are the details. */
function eventOf(kind: string, body: string): RedisEvent {
  if (kind === "registered") return { type: "registered", id: body };
  const [first = "", second = ""] = body.split(" ", 2);
  if (kind === "gone") return { type: "gone", reason: first, id: body.slice(first.length + 1) };
  if (kind === "health") {
    const id = body.slice(first.length + second.length + 2);
    return { type: "health", from: Number(first), to: Number(second), id };
  }
  return { type: "resync" };
}

function text(name: string, value: string): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string`);
  return value;
}

function lifetime(ttl: number | undefined): number | undefined {
  if (ttl === undefined || ttl === 0 || ttl === Infinity) return undefined;
  if (typeof ttl !== "number" || !(ttl > 0)) throw new TypeError("ttl must be a number of at least 0");
  return ttl;
}

function closed(): Error {
  return registryError("STORE_CLOSED", "The store is closed");
}
