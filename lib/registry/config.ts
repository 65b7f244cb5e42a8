import type { NativeRankingConfig } from "./native.js";
import type { MemoryStore, WorkerRegistryConfig } from "./types.js";

const DEFAULT_WORKER_TTL = 900_000;
const DEFAULT_HEALTHY_THRESHOLD = 600_000;
const DEFAULT_DEGRADED_THRESHOLD = 900_000;
const DEFAULT_CLEANUP_INTERVAL = 300_000;
const METHODS = ["store", "get", "delete", "search", "list"] as const;

/** A configuration that was checked, with every default in its place. */
export interface Settings {
  memory: MemoryStore | undefined;
  /** Undefined: the default, which is longer while the cleanup runs. */
  workerTTL: number | undefined;
  cleanupInterval: number;
  degradedThreshold: number;
  healthyThreshold: number;
  ranking: NativeRankingConfig;
  strictCapacity: boolean;
  uniqueNodeId: boolean;
  handleSignals: boolean;
  now: (() => number) | undefined;
}

/**
 * Checks a configuration.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function settingsOf(config: WorkerRegistryConfig | undefined): Settings {
  if (config !== undefined && (typeof config !== "object" || config === null)) {
    throw new TypeError("The configuration of a WorkerRegistry must be an object");
  }
  const given = config ?? {};
  const thresholds = thresholdsOf(given);
  const weights = given.weights ?? {};
  const now = given.now;
  if (now !== undefined && typeof now !== "function") throw new TypeError("now must be a function");
  return {
    memory: memoryOf(given.memory),
    workerTTL: time("workerTTL", given.workerTTL) || undefined,
    cleanupInterval: time("cleanupInterval", given.cleanupInterval) || DEFAULT_CLEANUP_INTERVAL,
    ...thresholds,
    ranking: {
      capacityWeight: weight("weights.capacity", weights.capacity, 0.5),
      successWeight: weight("weights.success", weights.success, 0.3),
      speedWeight: weight("weights.speed", weights.speed, 0.2),
      degradedPenalty: penalty(given.degradedPenalty),
      ...thresholds,
    },
    strictCapacity: flag("strictCapacity", given.strictCapacity),
    uniqueNodeId: flag("uniqueNodeId", given.uniqueNodeId),
    handleSignals: flag("handleSignals", given.handleSignals),
    now,
  };
}

/** How long records live: with the default they outlive a cleanup that may announce their end. */
export function timeToLive(settings: Settings, isCleanupRunning: boolean): number {
  if (settings.workerTTL !== undefined) return settings.workerTTL;
  if (!isCleanupRunning) return DEFAULT_WORKER_TTL;
  return Math.max(DEFAULT_WORKER_TTL, settings.degradedThreshold + 2 * settings.cleanupInterval);
}

function memoryOf(memory: MemoryStore | undefined): MemoryStore | undefined {
  if (memory === undefined) return undefined;
  const isStore =
    typeof memory === "object" &&
    memory !== null &&
    METHODS.every((method) => typeof memory[method] === "function");
  if (!isStore) throw new TypeError("WorkerRegistry requires a memory store");
  return memory;
}

/** A threshold that is given alone moves the other one along. */
function thresholdsOf(given: WorkerRegistryConfig): { healthyThreshold: number; degradedThreshold: number } {
  const healthy = time("healthyThreshold", given.healthyThreshold);
  const degraded = time("degradedThreshold", given.degradedThreshold);
  if (healthy && degraded && healthy > degraded) {
    throw new RangeError("healthyThreshold must not exceed degradedThreshold");
  }
  if (healthy) {
    return {
      healthyThreshold: healthy,
      degradedThreshold: degraded || Math.max(healthy, DEFAULT_DEGRADED_THRESHOLD),
    };
  }
  const degradedThreshold = degraded || DEFAULT_DEGRADED_THRESHOLD;
  return { healthyThreshold: Math.min(DEFAULT_HEALTHY_THRESHOLD, degradedThreshold), degradedThreshold };
}

function time(name: string, value: number | undefined): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number") throw new TypeError(`${name} must be a number`);
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} must be finite and not negative`);
  return value;
}

function weight(name: string, value: number | undefined, fallback: number): number {
  return value === undefined ? fallback : time(name, value);
}

function penalty(value: number | undefined): number {
  if (value === undefined) return 1;
  const factor = time("degradedPenalty", value);
  if (factor > 1) throw new RangeError("degradedPenalty must not exceed 1");
  return factor;
}

function flag(name: string, value: boolean | undefined): boolean {
  if (value !== undefined && typeof value !== "boolean") throw new TypeError(`${name} must be a boolean`);
  return value === true;
}
