import type { WorkerCapabilities, WorkerInfo } from "../types.js";
import type { SnapshotCapabilities, WorkerRequests, WorkerSnapshot } from "./types.js";

/** What is known of a worker now, as a copy that nobody can change. */
export function snapshotOf(info: WorkerInfo): WorkerSnapshot {
  return Object.freeze({
    id: info.id,
    name: info.name,
    status: info.status,
    capabilities: capabilitiesOf(info.capabilities),
    sessionId: info.sessionId,
    connectedAt: new Date(info.connectedAt),
    lastHeartbeat: new Date(info.lastHeartbeat),
    requests: requestsOf(info),
  });
}

/** Of a worker that has had none, as of all who register: what nobody can change may be the same for all. */
const NO_REQUESTS: WorkerRequests = Object.freeze({
  active: 0,
  completed: 0,
  pendingIds: Object.freeze([]),
  activeByCategory: Object.freeze({}),
});

export function requestsOf(info: WorkerInfo): WorkerRequests {
  if (hadNone(info)) return NO_REQUESTS;
  const activeByCategory: Record<string, number> = {};
  for (const [category, count] of info.categoryActiveRequests) {
    if (count !== 0) define(activeByCategory, category, count);
  }
  return Object.freeze({
    active: info.activeRequests,
    completed: info.completedRequests,
    pendingIds: Object.freeze([...info.pendingRequestIds]),
    activeByCategory: Object.freeze(activeByCategory),
  });
}

function hadNone(info: WorkerInfo): boolean {
  const { activeRequests, completedRequests, pendingRequestIds, categoryActiveRequests } = info;
  return (
    activeRequests === 0 &&
    completedRequests === 0 &&
    pendingRequestIds.size === 0 &&
    categoryActiveRequests.size === 0
  );
}

/** Only what the type names, in this order: workers may have told anything. */
function capabilitiesOf(capabilities: Partial<WorkerCapabilities>): SnapshotCapabilities {
  const { maxConcurrentRequests, models, metadata, concurrencyLimits } = capabilities;
  return Object.freeze({
    maxConcurrentRequests: maxConcurrentRequests!,
    models: Object.freeze(Array.isArray(models) ? models.map(frozenCopy) : []),
    ...(metadata !== undefined && { metadata: frozenCopy(metadata) }),
    ...(concurrencyLimits !== undefined && { concurrencyLimits: frozenCopy(concurrencyLimits) }),
  });
}

/** One level deep; what is no object, from a worker that did not keep to the protocol, is left as it is. */
function frozenCopy<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  return Object.freeze(Array.isArray(value) ? (value.slice() as T) : { ...value });
}

/** Sets a field of any name, also one that means something to an assignment. */
function define(target: Record<string, number>, name: string, value: number): void {
  if (name !== "__proto__") target[name] = value;
  else Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
}
