import { EventEmitter } from "node:events";

import {
  checkedCount,
  checkedFilter,
  checkedLease,
  checkedLeaseMs,
  checkedLimit,
  checkedMetrics,
  checkedRegistration,
  checkedRelease,
  finite,
} from "./arguments.js";
import type { BackendListener, RegistryBackend } from "./backend.js";
import { CleanupTimer } from "./cleanup-timer.js";
import { settingsOf } from "./config.js";
import type { Settings } from "./config.js";
import { EmbeddedBackend } from "./embedded-backend.js";
import { emitError, withoutThrowing } from "./emitting.js";
import { registryError } from "./errors.js";
import { KeepAlive } from "./keep-alive.js";
import { ClaudeFlowMemory, sharedStoreOf } from "./memory.js";
import { RedisBackend } from "./redis-backend.js";
import { redisConnectionOf } from "./redis-store.js";
import { onSignals } from "./signals.js";
import { StoreBackend } from "./store-backend.js";
import type {
  AcquireOptions,
  KeepAliveOptions,
  MemoryStore,
  ReleaseOptions,
  Reservation,
  Worker,
  WorkerFilter,
  WorkerMetrics,
  WorkerRegistration,
  WorkerRegistryConfig,
  WorkerRegistryEvents,
  WorkerWithPriority,
} from "./types.js";
import { newWorkerId } from "./worker-id.js";

/**
 * Who the workers are, how they are, and which of them is the best for the next task.
 *
 * All methods reject with `REGISTRY_CLOSED` after `close`, and with the error of the store if it fails.
 *
 * @example
 * const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
 * registry.startCleanup();
 * await registry.registerWorker({ nodeId: "gpu-1", capabilities: ["coder"], maxConcurrentTasks: 5 });
 * const worker = await registry.tryAcquire({ capabilities: ["coder"] });
 */
export class WorkerRegistry extends EventEmitter<WorkerRegistryEvents> {
  readonly #settings: Settings;
  readonly #backend: RegistryBackend;
  readonly #timer: CleanupTimer;
  readonly #ownMemory: MemoryStore | undefined;
  readonly #offSignals: (() => void) | undefined;
  readonly #keptAlive = new Set<KeepAlive>();
  #isClosed = false;

  /** @throws TypeError or RangeError that names the option. */
  constructor(config?: WorkerRegistryConfig) {
    super();
    this.#settings = settingsOf(config);
    const { memory, cleanupInterval, degradedThreshold, handleSignals } = this.#settings;
    if (memory === undefined) this.#ownMemory = new ClaudeFlowMemory();
    this.#backend = backendOf(this.#settings, memory ?? this.#ownMemory!, this.#listener());
    this.#timer = new CleanupTimer(
      cleanupInterval,
      degradedThreshold,
      async (keepsAll) => this.#backend.cleanup(keepsAll),
      (error) => emitError(this, error),
    );
    if (handleSignals) this.#offSignals = onSignals(() => this.stopCleanup());
  }

  /** Cleans up regularly from now on. The timer does not keep the process alive. Harmless when it runs. */
  startCleanup(): void {
    this.#assertOpen();
    if (this.#timer.isStarted) return;
    this.#timer.start();
    this.#backend.setCleanupRunning(true);
  }

  /** Ends that; it may be started again. */
  stopCleanup(): void {
    if (!this.#timer.isStarted) return;
    this.#timer.stop();
    this.#backend.setCleanupRunning(false);
  }

  /** Removes unhealthy workers and ends reservations that are over. Returns the ids of the workers removed. */
  async cleanup(): Promise<string[]> {
    this.#assertOpen();
    return this.#backend.cleanup(false);
  }

  /**
   * Adds a worker, healthy and without tasks.
   *
   * @throws TypeError for a wrong field.
   */
  async registerWorker(registration: WorkerRegistration): Promise<Worker> {
    this.#assertOpen();
    const checked = checkedRegistration(registration);
    return this.#backend.register(newWorkerId(this.#backend.now()), checked);
  }

  /** Removes a worker, if it is there. The event is told in either case. */
  async unregisterWorker(workerId: string): Promise<void> {
    this.#assertOpen();
    await this.#backend.unregister(String(workerId));
  }

  /**
   * Notes that a worker is alive.
   *
   * @throws `WORKER_NOT_FOUND`: register again.
   */
  async heartbeat(workerId: string): Promise<void> {
    this.#assertOpen();
    const pending = this.#backend.heartbeat(workerId);
    if (pending !== undefined) await pending;
  }

  /**
   * Changes a worker's number of tasks, which never falls below 0.
   *
   * @throws `WORKER_NOT_FOUND`; with `strictCapacity`, `WORKER_NO_CAPACITY`; TypeError if `delta` is not finite.
   */
  async updateTaskCount(workerId: string, delta: number): Promise<void> {
    this.#assertOpen();
    const pending = this.#backend.updateTaskCount(workerId, finite("delta", delta));
    if (pending !== undefined) await pending;
  }

  /**
   * Replaces metrics of a worker; absent ones stay.
   *
   * @throws `WORKER_NOT_FOUND`; TypeError if a metric is not finite.
   */
  async updateMetrics(workerId: string, metrics: Partial<WorkerMetrics>): Promise<void> {
    this.#assertOpen();
    await this.#backend.updateMetrics(workerId, checkedMetrics(metrics));
  }

  /**
   * Counts a task that has ended after `duration` milliseconds, and frees its slot. Do not lower the number of tasks with
   * `updateTaskCount` as well.
   *
   * @throws `WORKER_NOT_FOUND`; TypeError if `duration` is not finite.
   */
  async recordTaskCompletion(workerId: string, success: boolean, duration: number): Promise<void> {
    this.#assertOpen();
    const isSuccess = Boolean(success);
    const pending = this.#backend.recordTaskCompletion(workerId, isSuccess, finite("duration", duration));
    if (pending !== undefined) await pending;
  }

  /**
   * Whether a worker gets no reservation any more. It stays listed.
   *
   * @throws `WORKER_NOT_FOUND`.
   */
  async setDraining(workerId: string, draining: boolean): Promise<void> {
    this.#assertOpen();
    if (typeof draining !== "boolean") throw new TypeError("draining must be a boolean");
    await this.#backend.setDraining(workerId, draining);
  }

  /** A worker, or null. */
  async getWorker(workerId: string): Promise<Worker | null> {
    this.#assertOpen();
    return this.#backend.getWorker(String(workerId));
  }

  /** The workers that a filter accepts, in the order of their registration. */
  async discoverWorkers(filter?: WorkerFilter): Promise<Worker[]> {
    this.#assertOpen();
    return this.#backend.discover(checkedFilter(filter));
  }

  /**
   * The workers that a filter accepts, best first: by priority, then health, then fewer tasks, then earlier registration.
   * Full and unhealthy ones are among them unless the filter says otherwise. `limit`: at most so many.
   */
  async getWorkersForLoadBalancing(
    filter?: WorkerFilter & { limit?: number },
  ): Promise<WorkerWithPriority[]> {
    this.#assertOpen();
    return this.#backend.rank(checkedFilter(filter), checkedLimit(filter?.limit));
  }

  /**
   * Selects the best worker and reserves `count` of its slots in one step, so that nobody else gets them. Unhealthy workers
   * are not selected unless the filter says so; draining ones never. `recordTaskCompletion` gives a slot back.
   *
   * @returns The worker after the reservation; null: no worker has the slots.
   */
  async tryAcquire(filter?: WorkerFilter, count?: number): Promise<WorkerWithPriority | null> {
    this.#assertOpen();
    return this.#backend.acquire(checkedFilter(filter), checkedCount(count));
  }

  /**
   * As `tryAcquire`, but the slots are given back when `release` is called or the lease is over, whichever comes first. So
   * the death of a dispatcher costs no slot.
   */
  async acquire(filter?: WorkerFilter, options?: AcquireOptions): Promise<Reservation | null> {
    this.#assertOpen();
    return this.#backend.acquireLease(checkedFilter(filter), checkedLease(options));
  }

  /**
   * Lets a reservation last for its lease, or `leaseMs`, from now on. Returns its new end.
   *
   * @throws `RESERVATION_NOT_FOUND`: it has ended.
   */
  async renew(token: string, options?: { leaseMs?: number }): Promise<Date> {
    this.#assertOpen();
    return this.#backend.renew(String(token), checkedLeaseMs(options?.leaseMs));
  }

  /** Ends a reservation. Returns false, and changes nothing, if it has ended. */
  async release(token: string, options?: ReleaseOptions): Promise<boolean> {
    this.#assertOpen();
    return this.#backend.release(String(token), checkedRelease(options));
  }

  /**
   * Registers a worker, sends its heartbeats, and registers it again when it was lost.
   *
   * @example
   * const handle = registry.keepAlive({ nodeId: "gpu-1", capabilities: ["coder"], maxConcurrentTasks: 5 });
   * handle.on("registered", (worker) => console.log(worker.id));
   */
  keepAlive(registration: WorkerRegistration, options: KeepAliveOptions = {}): KeepAlive {
    this.#assertOpen();
    const handle = new KeepAlive(this, checkedRegistration(registration), {
      intervalMs: options.intervalMs,
      healthyThreshold: this.#settings.healthyThreshold,
      stopped: () => void this.#keptAlive.delete(handle),
    });
    this.#keptAlive.add(handle);
    return handle;
  }

  /**
   * Stops what `keepAlive` keeps, and the cleanup. A store that was given stays open. Later calls reject with
   * `REGISTRY_CLOSED`.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.stopCleanup();
    // A store that is away must not prevent it; the worker's record expires.
    await Promise.allSettled([...this.#keptAlive].map((handle) => handle.stop()));
    this.#isClosed = true;
    this.#offSignals?.();
    await this.#backend.close();
    await this.#ownMemory?.close?.();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw registryError("REGISTRY_CLOSED", "The registry is closed");
  }

  #listener(): BackendListener {
    return {
      registered: (worker) => withoutThrowing(() => this.emit("workerRegistered", worker)),
      unregistered: (workerId, reason) =>
        withoutThrowing(() => this.emit("workerUnregistered", { workerId, reason })),
      healthChanged: (worker, from, to) =>
        withoutThrowing(() => this.emit("workerHealthChanged", { worker, from, to })),
      failed: (error) => emitError(this, error),
    };
  }
}

function backendOf(settings: Settings, memory: MemoryStore, listener: BackendListener): RegistryBackend {
  const redis = redisConnectionOf(memory);
  if (redis !== undefined) return new RedisBackend(settings, redis, listener);
  const shared = sharedStoreOf(memory);
  return shared === undefined
    ? new StoreBackend(settings, memory, listener)
    : new EmbeddedBackend(settings, shared, listener);
}
