/** Checks of what callers give to a registry. */
import { HEALTH } from "./worker.js";
import type {
  AcquireOptions,
  ReleaseOptions,
  WorkerFilter,
  WorkerMetrics,
  WorkerRegistration,
} from "./types.js";

const METRICS = ["tasksCompleted", "tasksFailedCount", "averageTaskDuration"] as const;
const DEFAULT_LEASE_MS = 30_000;

export interface CheckedFilter {
  capabilities: string[];
  /** A bit for each health; 0: any. */
  health: number;
  /** NaN: workers may be overbooked. */
  minAvailable: number;
}

export interface CheckedLease {
  count: number;
  leaseMs: number;
  owner: string | undefined;
}

export function checkedRegistration(registration: WorkerRegistration): WorkerRegistration {
  if (typeof registration !== "object" || registration === null) {
    throw new TypeError("registration must be an object");
  }
  const { nodeId, capabilities, maxConcurrentTasks } = registration;
  if (typeof nodeId !== "string" || nodeId === "") {
    throw new TypeError("nodeId must be a string that is not empty");
  }
  if (!Number.isSafeInteger(maxConcurrentTasks) || maxConcurrentTasks < 1) {
    throw new TypeError("maxConcurrentTasks must be an integer of at least 1");
  }
  return { nodeId, capabilities: strings("capabilities", capabilities), maxConcurrentTasks };
}

export function checkedFilter(filter: WorkerFilter | undefined): CheckedFilter {
  if (filter === undefined) return { capabilities: [], health: 0, minAvailable: NaN };
  if (typeof filter !== "object" || filter === null) throw new TypeError("filter must be an object");
  const { capabilities, healthStatus, minAvailableCapacity } = filter;
  let health = 0;
  for (const status of strings("healthStatus", healthStatus ?? [])) {
    const bit = HEALTH.indexOf(status as (typeof HEALTH)[number]);
    if (bit < 0) throw new TypeError(`healthStatus has no ${JSON.stringify(status)}`);
    health |= 1 << bit;
  }
  if (minAvailableCapacity !== undefined) finite("minAvailableCapacity", minAvailableCapacity);
  return {
    capabilities: strings("capabilities", capabilities ?? []),
    health,
    minAvailable: minAvailableCapacity ?? NaN,
  };
}

export function checkedLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (!Number.isInteger(limit) || limit < 0) throw new TypeError("limit must be an integer of at least 0");
  return limit;
}

export function checkedCount(count: number | undefined): number {
  if (count === undefined) return 1;
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new TypeError("count must be an integer of at least 1");
  }
  return count;
}

export function checkedLease(options: AcquireOptions | undefined): CheckedLease {
  const { count, leaseMs, owner } = options ?? {};
  if (owner !== undefined && typeof owner !== "string") throw new TypeError("owner must be a string");
  return { count: checkedCount(count), leaseMs: checkedLeaseMs(leaseMs) ?? DEFAULT_LEASE_MS, owner };
}

export function checkedLeaseMs(leaseMs: number | undefined): number | undefined {
  if (leaseMs === undefined) return undefined;
  if (finite("leaseMs", leaseMs) <= 0) throw new TypeError("leaseMs must be positive");
  return leaseMs;
}

export function checkedRelease(options: ReleaseOptions | undefined): ReleaseOptions & { durationMs: number } {
  const { success, durationMs = 0 } = options ?? {};
  finite("durationMs", durationMs);
  if (success === undefined) return { durationMs };
  if (typeof success !== "boolean") throw new TypeError("success must be a boolean");
  return { success, durationMs };
}

export function checkedMetrics(metrics: Partial<WorkerMetrics>): Partial<WorkerMetrics> {
  if (typeof metrics !== "object" || metrics === null) throw new TypeError("metrics must be an object");
  const checked: Partial<WorkerMetrics> = {};
  for (const name of METRICS) {
    const value = metrics[name];
    if (value !== undefined) checked[name] = finite(name, value);
  }
  return checked;
}

/** @throws TypeError if it is no finite number. */
export function finite(name: string, value: number): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new TypeError(`${name} must be a finite number`);
  }
  return value;
}

/** A copy with plain elements, which the native side reads. */
function strings(name: string, values: readonly string[]): string[] {
  if (!Array.isArray(values)) throw new TypeError(`${name} must be an array of strings`);
  const copy: string[] = Array.from(values);
  if (!copy.every((value) => typeof value === "string")) {
    throw new TypeError(`${name} must be an array of strings`);
  }
  return copy;
}
