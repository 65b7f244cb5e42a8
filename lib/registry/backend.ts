import type { CheckedFilter, CheckedLease } from "./arguments.js";
import type {
  HealthStatus,
  ReleaseOptions,
  Reservation,
  UnregisterReason,
  Worker,
  WorkerMetrics,
  WorkerRegistration,
  WorkerWithPriority,
} from "./types.js";

type Awaitable<T> = T | Promise<T>;

/** What a backend tells its registry. */
export interface BackendListener {
  registered(worker: Worker): void;
  unregistered(workerId: string, reason: UnregisterReason): void;
  healthChanged(worker: Worker, from: HealthStatus, to: HealthStatus): void;
  /** Something failed that no caller waits for. */
  failed(error: Error): void;
}

/** Where a registry keeps its workers. Every method may throw or reject; all arguments are checked. */
export interface RegistryBackend {
  /** Whether cleanups come regularly. */
  setCleanupRunning(isRunning: boolean): void;
  register(id: string, registration: WorkerRegistration): Awaitable<Worker>;
  unregister(id: string): Awaitable<void>;
  heartbeat(id: string): Awaitable<void>;
  updateTaskCount(id: string, delta: number): Awaitable<void>;
  updateMetrics(id: string, metrics: Partial<WorkerMetrics>): Awaitable<void>;
  recordTaskCompletion(id: string, success: boolean, duration: number): Awaitable<void>;
  setDraining(id: string, draining: boolean): Awaitable<void>;
  getWorker(id: string): Awaitable<Worker | null>;
  discover(filter: CheckedFilter): Awaitable<Worker[]>;
  rank(filter: CheckedFilter, limit: number): Awaitable<WorkerWithPriority[]>;
  acquire(filter: CheckedFilter, count: number): Awaitable<WorkerWithPriority | null>;
  acquireLease(filter: CheckedFilter, lease: CheckedLease): Awaitable<Reservation | null>;
  /** The new end of the reservation. */
  renew(token: string, leaseMs: number | undefined): Awaitable<Date>;
  /** False: the reservation had ended. */
  release(token: string, options: ReleaseOptions & { durationMs: number }): Awaitable<boolean>;
  /** Ids of the workers that were removed. */
  cleanup(keepsAll: boolean): Awaitable<string[]>;
  /** The time of the store, in milliseconds since the Unix epoch. */
  now(): number;
  close(): Awaitable<void>;
}
