import { ValidationError } from "./errors.js";
import { TaskPriority } from "./enums.js";
import type { NativeThreadPoolOptions } from "./native.js";
import { ownError } from "./own-error.js";
import { modulesOf } from "./script-url.js";
import type { WorkerManagerConfig } from "./types.js";

const MIB = 1024 * 1024;

/** The default of every option. */
export const defaultConfig = Object.freeze({
  minWorkers: 2,
  maxWorkers: 8,
  maxTaskQueueSize: 1000,
  taskTimeout: 30_000,
  healthCheckInterval: 30_000,
  workerIdleTimeout: 300_000,
  maxWorkerMemory: 512 * MIB,
  maxRetries: 3,
  retryDelay: 1000,
  enableAutoScaling: true,
  enableHealthChecks: true,
  scaleUpThreshold: 0.7,
  scaleDownThreshold: 0.3,
  scaleUpCooldown: 30_000,
  scaleDownCooldown: 60_000,
  backpressureThreshold: 0.9,
  maxTasksPerWorker: 100,
  workerRecycleThreshold: 500,
  workerScriptPath: undefined,
  enableDebugLogging: false,
  maxRetryDelay: 30_000,
  retryJitter: 0,
  retryOn: Object.freeze({ error: true, timeout: true, crash: true }),
  queueFull: "reject",
  onDependencyFailure: "fail",
  historySize: 10_000,
  metricsInterval: 10_000,
  healthCheckTimeout: 5000,
  cancelGracePeriod: 0,
  shutdownTimeout: 30_000,
  queueOrder: "fifo",
  handleSignals: false,
  maxCreationFailures: 5,
  autoScaleInterval: 1000,
  priorityAging: 0,
  workerData: undefined,
  env: undefined,
  execArgv: undefined,
  resourceLimits: undefined,
  handlers: undefined,
} satisfies { [K in keyof WorkerManagerConfig]-?: WorkerManagerConfig[K] | undefined });

type Optional = "workerScriptPath" | "workerData" | "env" | "execArgv" | "resourceLimits" | "handlers";

/** Options with all defaults filled in. */
export type ResolvedConfig = Required<Omit<WorkerManagerConfig, Optional | "retryOn">> & {
  [K in Optional]: WorkerManagerConfig[K] | undefined;
} & { retryOn: { error: boolean; timeout: boolean; crash: boolean } };

type Check = (value: unknown) => boolean;

const isTime: Check = (value) => typeof value === "number" && value >= 0;
const isFiniteTime: Check = (value) => isTime(value) && Number.isFinite(value);
const isCount: Check = (value) => Number.isInteger(value) && (value as number) >= 0;
const isShare: Check = (value) => typeof value === "number" && value >= 0 && value <= 1;
const isFlag: Check = (value) => typeof value === "boolean";
const isObject: Check = (value) => typeof value === "object" && value !== null;
const isOneOf =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value as string);

/** What a value has to be, and how that is said. */
const rules: Record<string, readonly [Check, string]> = {
  minWorkers: [isCount, "an integer of at least 0"],
  maxWorkers: [(value) => isCount(value) && value !== 0, "an integer of at least 1"],
  taskTimeout: [isTime, "a number of milliseconds"],
  healthCheckInterval: [isFiniteTime, "a finite number of milliseconds"],
  workerIdleTimeout: [isTime, "a number of milliseconds"],
  maxWorkerMemory: [(value) => isFiniteTime(value) && (value as number) >= MIB, "at least 1 MiB in bytes"],
  maxRetries: [isCount, "an integer of at least 0"],
  retryDelay: [isFiniteTime, "a finite number of milliseconds"],
  enableAutoScaling: [isFlag, "a boolean"],
  enableHealthChecks: [isFlag, "a boolean"],
  scaleUpThreshold: [isShare, "a number from 0 to 1"],
  scaleDownThreshold: [isShare, "a number from 0 to 1"],
  scaleUpCooldown: [isTime, "a number of milliseconds"],
  scaleDownCooldown: [isTime, "a number of milliseconds"],
  backpressureThreshold: [isShare, "a number from 0 to 1"],
  maxTasksPerWorker: [isCount, "an integer of at least 0"],
  workerRecycleThreshold: [isCount, "an integer of at least 0"],
  workerScriptPath: [(value) => typeof value === "string" || value instanceof URL, "a path or a file: URL"],
  enableDebugLogging: [isFlag, "a boolean"],
  maxRetryDelay: [isFiniteTime, "a finite number of milliseconds"],
  retryJitter: [isShare, "a number from 0 to 1"],
  retryOn: [isObject, "an object"],
  queueFull: [isOneOf("reject", "wait"), '"reject" or "wait"'],
  onDependencyFailure: [isOneOf("fail", "run"), '"fail" or "run"'],
  historySize: [isCount, "an integer of at least 0"],
  metricsInterval: [isFiniteTime, "a finite number of milliseconds"],
  healthCheckTimeout: [isFiniteTime, "a finite number of milliseconds"],
  cancelGracePeriod: [isFiniteTime, "a finite number of milliseconds"],
  shutdownTimeout: [isTime, "a number of milliseconds"],
  queueOrder: [isOneOf("fifo", "lifo"), '"fifo" or "lifo"'],
  handleSignals: [isFlag, "a boolean"],
  maxCreationFailures: [(value) => isCount(value) && value !== 0, "an integer of at least 1"],
  autoScaleInterval: [isFiniteTime, "a finite number of milliseconds"],
  priorityAging: [isFiniteTime, "a finite number of milliseconds"],
  env: [isObject, "an object"],
  execArgv: [Array.isArray, "an array of strings"],
  resourceLimits: [isObject, "an object"],
  handlers: [isObject, "an object"],
};

/**
 * Fills in `base` for what a configuration leaves out, and checks the rest.
 *
 * @throws ValidationError naming the first wrong option
 */
export function resolveConfig(config: WorkerManagerConfig | undefined, base: ResolvedConfig): ResolvedConfig {
  if (config !== undefined && !isObject(config))
    throw new ValidationError("The configuration must be an object", "config", config);
  const given = (config ?? {}) as Record<string, unknown>;
  const resolved: Record<string, unknown> = { ...base };
  for (const key of Object.keys(defaultConfig)) {
    const value = given[key];
    if (value === undefined) continue;
    const rule = rules[key];
    if (rule !== undefined && !rule[0](value))
      throw new ValidationError(`${key} must be ${rule[1]}`, key, value);
    resolved[key] = value;
  }
  const result = resolved as unknown as ResolvedConfig;
  checkQueueSize(result.maxTaskQueueSize);
  if (result.minWorkers > result.maxWorkers)
    throw new ValidationError(
      "Min workers cannot be greater than max workers",
      "minWorkers",
      result.minWorkers,
    );
  result.retryOn = resolveRetryOn(given.retryOn, base.retryOn);
  checkWorkerData(result.workerData);
  modulesOf(result);
  return result;
}

/** @throws ValidationError unless it is a number of milliseconds; infinite is one */
export function checkTime(value: unknown, field: string): void {
  if (!isTime(value)) throw new ValidationError(`${field} must be a number of milliseconds`, field, value);
}

function checkWorkerData(workerData: unknown): void {
  try {
    structuredClone(workerData);
  } catch (error) {
    const message = `workerData cannot be sent: ${ownError(error).message}`;
    throw new ValidationError(message, "workerData", workerData);
  }
}

function checkQueueSize(size: unknown): void {
  if (typeof size !== "number" || !(size >= 1))
    throw new ValidationError("Max task queue size must be at least 1", "maxTaskQueueSize", size);
}

function resolveRetryOn(given: unknown, base: ResolvedConfig["retryOn"]): ResolvedConfig["retryOn"] {
  const resolved = { ...base };
  for (const key of ["error", "timeout", "crash"] as const) {
    const value = (given as Record<string, unknown> | undefined)?.[key];
    if (value === undefined) continue;
    if (typeof value !== "boolean")
      throw new ValidationError(`retryOn.${key} must be a boolean`, "retryOn", value);
    resolved[key] = value;
  }
  return resolved;
}

/** 0 and `Infinity` both mean: no limit. */
export function limitOf(ms: number): number {
  return ms === 0 ? Infinity : ms;
}

/** What the native side needs of a configuration. */
export function nativeOptions(config: ResolvedConfig): NativeThreadPoolOptions {
  return {
    isLifo: config.queueOrder === "lifo",
    priorityAging: config.priorityAging,
    maxRetryDelay: config.maxRetryDelay,
    retryJitter: config.retryJitter,
    retryOnError: config.retryOn.error,
    retryOnTimeout: config.retryOn.timeout,
    retryOnCrash: config.retryOn.crash,
    maxTaskQueueSize: config.maxTaskQueueSize,
    runAfterFailedDependency: config.onDependencyFailure === "run",
    maxTasksPerWorker: config.maxTasksPerWorker,
    workerRecycleThreshold: config.workerRecycleThreshold,
    minWorkers: config.minWorkers,
    maxWorkers: config.maxWorkers,
    scaleUpThreshold: config.scaleUpThreshold,
    scaleDownThreshold: config.scaleDownThreshold,
    scaleUpCooldown: config.scaleUpCooldown,
    scaleDownCooldown: config.scaleDownCooldown,
    workerIdleTimeout: limitOf(config.workerIdleTimeout),
  };
}

/** Priorities by name. */
export const priorityNames: Readonly<Record<string, TaskPriority>> = {
  low: TaskPriority.LOW,
  normal: TaskPriority.NORMAL,
  high: TaskPriority.HIGH,
  critical: TaskPriority.CRITICAL,
};
