import type { ResourceLimits, TransferListItem } from "node:worker_threads";
import type { TaskPriority, TaskStatus, WorkerState, WorkerTaskType } from "./enums.js";

/** A task's type by its enum or its name, in upper or lower case. */
export type TaskTypeName = WorkerTaskType | keyof typeof WorkerTaskType;

/** A module whose export runs tasks of one type: `(payload, context) => result`. */
export type HandlerModule =
  | string
  | URL
  | {
      /** Absolute path, `file:` URL, or path relative to the working directory. */
      file: string | URL;
      /** Name of the export. Default: `"default"`, else the module itself. */
      name?: string;
    };

/** Options of a worker manager. All times are in milliseconds. A value of `undefined` means the default. */
export interface WorkerManagerConfig {
  /** Fewest workers; they are started at once. Default: 2. */
  minWorkers?: number;
  /** Most workers. Default: 8. */
  maxWorkers?: number;
  /** Most pending tasks. Default: 1000. */
  maxTaskQueueSize?: number;
  /** Time that one attempt of a task may run; 0 or `Infinity`: no limit. Default: 30000. */
  taskTimeout?: number;
  /** Time between health checks. Default: 30000. */
  healthCheckInterval?: number;
  /** Idle time after which a worker above `minWorkers` is ended; 0 or `Infinity`: never. Default: 300000. */
  workerIdleTimeout?: number;
  /** Heap of a worker, in bytes: the hard limit of its thread, and the soft limit that has it recycled. Default: 512 MiB. */
  maxWorkerMemory?: number;
  /** Attempts of a task after the first one. Default: 3. */
  maxRetries?: number;
  /** Time before the first retry; each further one waits twice as long. Default: 1000. */
  retryDelay?: number;
  /** Add and end workers by load. Default: true. */
  enableAutoScaling?: boolean;
  /** Check idle workers every `healthCheckInterval`. Default: true. */
  enableHealthChecks?: boolean;
  /** Share of busy workers from which on workers are added, 0 to 1. Default: 0.7. */
  scaleUpThreshold?: number;
  /** Share of busy workers down to which a worker is ended, 0 to 1. Default: 0.3. */
  scaleDownThreshold?: number;
  /** Shortest time between two additions. Default: 30000. */
  scaleUpCooldown?: number;
  /** Shortest time between a scaling and an ending for low use. Default: 60000. */
  scaleDownCooldown?: number;
  /** Share of `maxTaskQueueSize` from which on there is backpressure, 0 to 1. Default: 0.9. */
  backpressureThreshold?: number;
  /** Recycle a worker after so many tasks as soon as no task is ready; 0: never. Default: 100. */
  maxTasksPerWorker?: number;
  /** Recycle a worker after so many tasks; 0: never. Default: 500. */
  workerRecycleThreshold?: number;
  /** The script that runs all tasks: absolute, `file:` URL, or relative to the working directory. */
  workerScriptPath?: string | URL;
  /** Log what happens with `console.debug`. Default: false. */
  enableDebugLogging?: boolean;
  /** Longest time before a retry. Default: 30000. */
  maxRetryDelay?: number;
  /** Share by which the time before a retry varies, 0 to 1. Default: 0. */
  retryJitter?: number;
  /** Which failures are retried. Default: all. */
  retryOn?: { error?: boolean; timeout?: boolean; crash?: boolean };
  /** What a submission does when the queue is full. Default: `"reject"`. */
  queueFull?: "reject" | "wait";
  /** What happens to a task whose dependency did not complete. Default: `"fail"`. */
  onDependencyFailure?: "fail" | "run";
  /** Settled tasks that stay known. Default: 10000. */
  historySize?: number;
  /** Time between `metricsUpdated` events. Default: 10000. */
  metricsInterval?: number;
  /** Time in which a worker has to answer a health check. Default: 5000. */
  healthCheckTimeout?: number;
  /** Time that a cancelled task has to end by itself before its worker is ended. Default: 0. */
  cancelGracePeriod?: number;
  /** Time that `shutdown` waits for running tasks. Default: 30000. */
  shutdownTimeout?: number;
  /** Order of tasks of one priority. Default: `"fifo"`. */
  queueOrder?: "fifo" | "lifo";
  /** Shut down on SIGINT and SIGTERM: drain on the first, force on a second one within 5 s. Default: false. */
  handleSignals?: boolean;
  /** Failed starts in a row, without a live worker, after which pending tasks fail. Default: 5. */
  maxCreationFailures?: number;
  /** Time between looks at the load. Default: 1000. */
  autoScaleInterval?: number;
  /** Waiting time that lifts a task by one priority; 0: never. Default: 0. */
  priorityAging?: number;
  /** `workerData` of the worker script. */
  workerData?: unknown;
  /** Environment of the workers. Default: a copy of the process's own. */
  env?: NodeJS.Dict<string>;
  /** Node options of the workers. */
  execArgv?: string[];
  /** Limits of the workers' heaps; `maxWorkerMemory` is the default of `maxOldGenerationSizeMb`. */
  resourceLimits?: ResourceLimits;
  /** Modules that run tasks of a type. */
  handlers?: Partial<Record<WorkerTaskType, HandlerModule>>;
}

/** Called once with the outcome of a task. */
export type TaskCallback<R = any> = (error: Error | null, result?: R) => void;

/** Options of one task. */
export interface TaskOptions {
  /** Default: `task-<n>`. */
  id?: string;
  /** Default: `TaskPriority.NORMAL`. */
  priority?: TaskPriority | "low" | "normal" | "high" | "critical";
  /** Time that one attempt may run; 0 or `Infinity`: no limit. Default: `taskTimeout` of the manager. */
  timeout?: number;
  /** Attempts after the first one. Default: `maxRetries` of the manager. */
  maxRetries?: number;
  /** Time before the first retry. Default: `retryDelay` of the manager. */
  retryDelay?: number;
  /** Ids of tasks that have to complete first. */
  dependencies?: readonly string[];
  /** Hand the results of the dependencies to the worker, as `dependencyResults`. Default: false. */
  passDependencyResults?: boolean;
  /** Handed to the worker and kept on the task. */
  metadata?: Record<string, unknown>;
  /** Cancels the task. */
  signal?: AbortSignal;
  /** Objects to move to the worker instead of copying them. Such a task has one attempt only. */
  transferList?: readonly TransferListItem[];
}

/** A task as the manager sees it; the object changes as the task proceeds. Times are in ms since the Unix epoch, and 0 until reached. */
export interface WorkerTask<P = any, R = any> {
  readonly id: string;
  readonly type: WorkerTaskType;
  readonly payload: P;
  readonly priority: TaskPriority;
  readonly timeout: number;
  readonly maxRetries: number;
  readonly retryCount: number;
  readonly status: TaskStatus;
  readonly createdAt: number;
  readonly assignedAt: number;
  readonly startedAt: number;
  readonly completedAt: number;
  readonly dependencies: readonly string[];
  readonly metadata?: Record<string, unknown>;
  readonly workerId?: string;
  readonly progress?: number;
  readonly result?: R;
  readonly error?: Error;
}

/** A worker as the manager sees it; the object changes as the worker lives. */
export interface WorkerInfo {
  readonly id: string;
  readonly state: WorkerState;
  /** Id of the task that it runs. */
  readonly currentTask: string | null;
  readonly tasksCompleted: number;
  /** Attempts that failed on this worker. */
  readonly tasksFailed: number;
  readonly isHealthy: boolean;
  /** Its thread has started and its script is loaded. */
  readonly online: boolean;
  /** `threadId` of its thread. */
  readonly threadId: number;
  /** In ms since the Unix epoch. */
  readonly createdAt: number;
  /** When it last answered a health check, in ms since the Unix epoch. */
  readonly lastHeartbeat: number;
  /** Used heap at its last heartbeat, in bytes. */
  readonly memoryUsed: number;
  /** Share of time that its event loop was busy, 0 to 1, when metrics were last taken. */
  readonly cpuUtilization: number;
}

/** Percentiles in milliseconds. */
export interface DurationPercentiles {
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** Counts and means; 0 where there is nothing to count. Times are in milliseconds. */
export interface WorkerMetrics {
  /** Workers that are not being ended. */
  totalWorkers: number;
  /** Workers that run a task. */
  activeWorkers: number;
  idleWorkers: number;
  unhealthyWorkers: number;
  /** Tasks that wait. */
  pendingTasks: number;
  runningTasks: number;
  /** Since the start. */
  completedTasks: number;
  /** Since the start; tasks that timed out included. */
  failedTasks: number;
  /** Mean time from start to completion. */
  averageTaskDuration: number;
  /** Mean time from ready to assigned. */
  averageQueueTime: number;
  /** Completed tasks per second over the last 60 s, or since the start. */
  throughput: number;
  /** Mean share of time that the workers' event loops were busy since the metrics were last taken, 0 to 1. */
  cpuUtilization: number;
  /** Used heap of the workers at their last heartbeats, as a share of `maxWorkerMemory`. */
  memoryUtilization: number;
  cancelledTasks: number;
  timedOutTasks: number;
  /** Retries since the start. */
  retriedTasks: number;
  /** Tasks that wait for dependencies. */
  blockedTasks: number;
  /** Tasks that wait; the same as `pendingTasks`. */
  queueSize: number;
  /** Percentiles of the time from start to completion. */
  duration: DurationPercentiles;
}

/** Something that went wrong outside of any call. */
export interface ManagerErrorEvent {
  type: "worker_creation_failed" | "callback_error" | "internal";
  error: Error;
  /** Of the worker that could not be created, from 0. */
  index?: number;
  task?: WorkerTask;
}

/** Events of a manager and their arguments. All are emitted synchronously. */
export interface WorkerManagerEvents {
  taskSubmitted: [WorkerTask];
  taskAssigned: [{ task: WorkerTask; worker: WorkerInfo }];
  taskProgress: [{ task: WorkerTask; worker: WorkerInfo; progress: number }];
  taskCompleted: [{ task: WorkerTask; worker: WorkerInfo }];
  /** Every permanent failure. A task that never ran comes with a worker whose id is `"none"`. */
  taskFailed: [{ task: WorkerTask; worker: WorkerInfo }];
  /** Every attempt that ran for too long. */
  taskTimeout: [{ task: WorkerTask; worker: WorkerInfo }];
  taskCancelled: [{ task: WorkerTask; worker: WorkerInfo | null }];
  taskRetry: [{ task: WorkerTask; worker: WorkerInfo | null; error: Error; attempt: number; delay: number }];
  workerCreated: [WorkerInfo];
  workerHeartbeat: [WorkerInfo];
  workerError: [{ worker: WorkerInfo; error: Error }];
  workerExited: [{ worker: WorkerInfo; exitCode: number }];
  workerTerminated: [WorkerInfo];
  workerRecycled: [{ worker: WorkerInfo; reason: "tasks" | "memory" }];
  scaledUp: [{ workerCount: number; previousCount: number }];
  scaledDown: [{ workerCount: number; previousCount: number }];
  backpressure: [{ queueSize: number; maxQueueSize: number; utilization: number }];
  drain: [];
  metricsUpdated: [WorkerMetrics];
  error: [ManagerErrorEvent];
  shutdown: [];
}

/** Options of {@link WorkerManager.shutdown}. */
export interface ShutdownOptions {
  /** Run all pending tasks first. Default: false. */
  drain?: boolean;
  /** End running tasks at once. Default: false. */
  force?: boolean;
  /** Time to wait for tasks in milliseconds. Default: `shutdownTimeout` of the manager. */
  timeout?: number;
}
