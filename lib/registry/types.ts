/** How recently a worker has sent a heartbeat. */
export type HealthStatus = "healthy" | "degraded" | "unhealthy";

/** What a worker has done so far. */
export interface WorkerMetrics {
  /** Tasks that succeeded. */
  tasksCompleted: number;
  /** Tasks that failed. */
  tasksFailedCount: number;
  /** Mean duration of all tasks, failed ones included, in milliseconds; 0: there was none. */
  averageTaskDuration: number;
}

/** A registered worker. A copy: changes of it change nothing in the registry. */
export interface Worker {
  /** Made by the registry: `worker-<milliseconds>-<9 characters>`. */
  id: string;
  /** What the worker calls its node. Not unique. */
  nodeId: string;
  capabilities: string[];
  /** Slots. */
  maxConcurrentTasks: number;
  /** Slots in use. May exceed the slots. */
  currentTasks: number;
  /** By the age of the last heartbeat, at the time of the call. */
  healthStatus: HealthStatus;
  lastHeartbeat: Date;
  startedAt: Date;
  metrics: WorkerMetrics;
  /** Present and true: the worker gets no reservation any more (`setDraining`). */
  draining?: true;
}

/** What a worker says of itself. */
export interface WorkerRegistration {
  /** Not empty. */
  nodeId: string;
  capabilities: string[];
  /** Slots: an integer, at least 1. */
  maxConcurrentTasks: number;
}

/** Which workers are wanted; a worker must meet every condition. */
export interface WorkerFilter {
  /** All of these; empty: any. */
  capabilities?: string[];
  /** One of these; empty: any. */
  healthStatus?: HealthStatus[];
  /** At least so many free slots. Absent: overbooked workers too. */
  minAvailableCapacity?: number;
}

/** A worker with what load balancing depends on. */
export interface WorkerWithPriority extends Worker {
  /** The weighted sum of the scores for capacity, success and speed, each between 0 and 1. */
  priority: number;
  /** Slots that are free; negative if the worker is overbooked. */
  availableCapacity: number;
  /** Share of tasks that succeeded; 1 if there was none. */
  successRate: number;
}

/** A store of strings under keys. Any object with the first five methods will do. */
export interface MemoryStore {
  /** Sets a value; it expires after `ttl` milliseconds. 0 or absent: never. */
  store(key: string, value: string, ttl?: number): Promise<void>;
  /** A value, or null. */
  get(key: string): Promise<string | null>;
  /** Forgets a value, if it is there. */
  delete(key: string): Promise<void>;
  /** Keys that match a pattern, with their values. */
  search(pattern: string): Promise<Array<{ key: string; value: string }>>;
  /** Keys that start with `namespace`. */
  list(namespace?: string): Promise<string[]>;
  /** Sets a value if the present one is `expected` (null: there is none). Returns whether it was. */
  compareAndSet?(key: string, expected: string | null, value: string, ttl?: number): Promise<boolean>;
  /** Replaces a value by what `change` makes of it, in one step; null: leaves it. */
  update?(key: string, change: (value: string | null) => string | null, ttl?: number): Promise<void>;
  /** Tells of changes of keys that start with `prefix`, until the result is called. */
  watch?(prefix: string, listener: (event: MemoryEvent) => void): () => void;
  close?(): Promise<void>;
}

/** A change of a key, or `resync`: changes may have been missed, so read again what matters. */
export type MemoryEvent = { type: "set" | "delete" | "expire"; key: string } | { type: "resync" };

/** When changes of a store with a file are forced onto the disk. */
export type FsyncPolicy = "always" | "everySecond" | "never";

/** Options of {@link ClaudeFlowMemory}. */
export interface ClaudeFlowMemoryOptions {
  /** Most keys; one more is refused with `STORE_FULL`. Default: no limit. */
  maxKeys?: number;
  /** File that the store is restored from and appended to. Default: none. */
  persistPath?: string;
  /**
   * `always`: a call ends when the disk has its change. `everySecond` (default): a power failure may cost a second.
   * `never`: the system decides. The death of the process costs nothing in any case.
   */
  fsync?: FsyncPolicy;
}

/** Options of {@link WorkerRegistry}. Times are in milliseconds; 0 means the default. */
export interface WorkerRegistryConfig {
  /** Where workers are kept. Default: a store of its own in this process. */
  memory?: MemoryStore;
  /** How long a record lives after its last write. Default: 900,000. */
  workerTTL?: number;
  /** Up to this age of its heartbeat a worker is healthy. Default: 600,000. */
  healthyThreshold?: number;
  /** Up to this age of its heartbeat a worker is degraded. Default: 900,000. */
  degradedThreshold?: number;
  /** Time between two cleanups. Default: 300,000. */
  cleanupInterval?: number;
  /** Shares of the scores in the priority. Default: 0.5, 0.3 and 0.2. */
  weights?: { capacity?: number; success?: number; speed?: number };
  /** Factor on the priority of a degraded worker, 0 to 1. Default: 1. */
  degradedPenalty?: number;
  /** `updateTaskCount` refuses to exceed a worker's slots. Default: false. */
  strictCapacity?: boolean;
  /** A registration replaces older ones of the same node. Default: false. */
  uniqueNodeId?: boolean;
  /** On SIGINT, SIGTERM and SIGHUP stop the cleanup, then let the signal do what it does. Default: false. */
  handleSignals?: boolean;
  /** The time in milliseconds since the Unix epoch. Default: `Date.now`. Not used with `RedisStore`. */
  now?: () => number;
}

/** Why a worker is gone. */
export type UnregisterReason = "explicit" | "cleanup" | "ttl";

/** Events of a {@link WorkerRegistry}. */
export interface WorkerRegistryEvents {
  /** A worker was registered, here or in another process on the same store that tells of it. */
  workerRegistered: [worker: Worker];
  workerUnregistered: [change: { workerId: string; reason: UnregisterReason }];
  /** A heartbeat or a cleanup has found that the health of a worker has changed. */
  workerHealthChanged: [change: { worker: Worker; from: HealthStatus; to: HealthStatus }];
  /** Something failed that no caller waits for: a cleanup, an event record, a record that cannot be read. */
  error: [error: Error];
}

/** Options of `acquire`. */
export interface AcquireOptions {
  /** Slots. Default: 1. */
  count?: number;
  /** Milliseconds until the slots are given back by themselves. Default: 30,000. */
  leaseMs?: number;
  /** Who holds the slots, kept in the record for people that read it. */
  owner?: string;
}

/** Reserved slots of a worker. */
export interface Reservation {
  /** The worker, after the reservation. */
  worker: WorkerWithPriority;
  /** What the reservation is renewed and released by. */
  token: string;
  expiresAt: Date;
}

/** Options of `release`. */
export interface ReleaseOptions {
  /** Counts a task that succeeded or failed. Absent: none is counted. */
  success?: boolean;
  /** How long the task took, in milliseconds. Default: 0. */
  durationMs?: number;
}

/** Options of `keepAlive`. */
export interface KeepAliveOptions {
  /** Time between two heartbeats, in milliseconds. Default: a third of the healthy threshold, at most 5 minutes. */
  intervalMs?: number;
}

/** Events of {@link KeepAlive}. */
export interface KeepAliveEvents {
  /** The worker is registered, for the first time or again. */
  registered: [worker: Worker];
  /** The registration was lost, or the store cannot be reached. It is tried again. */
  lost: [error: Error];
}
