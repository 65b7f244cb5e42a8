import { EventEmitter } from "node:events";

import { withoutThrowing } from "./emitting.js";
import { hasCode } from "./errors.js";
import type { KeepAliveEvents, Worker, WorkerRegistration } from "./types.js";

const MAX_INTERVAL = 300_000;
const FIRST_RETRY = 200;
const MAX_RETRY = 30_000;

/** What a handle needs of a registry. */
interface Registry {
  registerWorker(registration: WorkerRegistration): Promise<Worker>;
  unregisterWorker(workerId: string): Promise<void>;
  heartbeat(workerId: string): Promise<void>;
}

/**
 * Keeps a worker registered: sends heartbeats, and registers again when the registration was lost or the store was away. It
 * keeps the process alive until `stop`.
 */
export class KeepAlive extends EventEmitter<KeepAliveEvents> {
  readonly #registry: Registry;
  readonly #registration: WorkerRegistration;
  readonly #interval: number;
  readonly #stopped: () => void;
  #worker: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #isLost = false;
  #isStopped = false;
  #step: Promise<void>;

  /** Made by `WorkerRegistry.keepAlive`. */
  constructor(
    registry: Registry,
    registration: WorkerRegistration,
    options: { intervalMs: number | undefined; healthyThreshold: number; stopped: () => void },
  ) {
    super();
    const { intervalMs = Math.min(options.healthyThreshold / 3, MAX_INTERVAL) } = options;
    if (typeof intervalMs !== "number" || !(intervalMs > 0) || intervalMs >= 2 ** 31) {
      throw new TypeError("intervalMs must be a positive number of milliseconds");
    }
    this.#registry = registry;
    this.#registration = registration;
    this.#interval = intervalMs;
    this.#stopped = options.stopped;
    this.#step = this.#beat();
  }

  /** The worker as it was registered last; undefined before the first registration. */
  get worker(): Worker | undefined {
    return this.#worker;
  }

  /** Ends the heartbeats and unregisters the worker. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#stopped();
    await this.#step;
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker !== undefined) await this.#registry.unregisterWorker(worker.id);
  }

  /** Never rejects. */
  async #beat(): Promise<void> {
    try {
      const isNew = await this.#register();
      this.#failures = 0;
      this.#isLost = false;
      if (isNew) withoutThrowing(() => this.emit("registered", this.#worker!));
    } catch (error) {
      this.#failures += 1;
      this.#lose(error instanceof Error ? error : new Error(String(error)));
    }
    if (!this.#isStopped) {
      this.#timer = setTimeout(() => {
        this.#step = this.#beat();
      }, this.#delay());
    }
  }

  /** Returns whether the worker has another registration now. */
  async #register(): Promise<boolean> {
    if (this.#worker !== undefined) {
      try {
        await this.#registry.heartbeat(this.#worker.id);
        return false;
      } catch (error) {
        if (!hasCode(error, "WORKER_NOT_FOUND")) throw error;
        this.#worker = undefined;
        this.#lose(error as Error);
      }
      if (this.#isStopped) return false;
    }
    this.#worker = await this.#registry.registerWorker(this.#registration);
    return true;
  }

  /** Tells once for each loss. */
  #lose(error: Error): void {
    if (this.#isLost) return;
    this.#isLost = true;
    withoutThrowing(() => this.emit("lost", error));
  }

  /** After failures longer and longer, and different for each worker, so that they do not all come at once. */
  #delay(): number {
    if (this.#failures === 0) return this.#interval;
    const longest = Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), MAX_RETRY, this.#interval);
    return longest * (0.5 + Math.random() / 2);
  }
}
