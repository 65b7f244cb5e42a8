import type { PoolWorker, WorkerInfo } from "./types.js";
import { WorkerStatus } from "./worker-status.js";

/** What the application may see of a worker: everything but its socket. Live parts are handed out, not copied. */
export function toWorkerInfo(worker: PoolWorker): WorkerInfo {
  return {
    id: worker.id,
    name: worker.name,
    status: worker.status,
    capabilities: worker.capabilities,
    sessionId: worker.sessionId,
    connectedAt: worker.connectedAt,
    lastHeartbeat: worker.lastHeartbeat,
    activeRequests: worker.activeRequests,
    completedRequests: worker.completedRequests,
    pendingRequestIds: worker.pendingRequests,
    categoryActiveRequests: worker.categoryActiveRequests,
  };
}

/** Who a message comes from when its socket has no worker in the pool. */
export function unknownWorkerInfo(id = "unknown"): WorkerInfo {
  return {
    id,
    name: "unknown",
    status: WorkerStatus.Unhealthy,
    capabilities: { models: [], maxConcurrentRequests: 0 },
    sessionId: "",
    connectedAt: new Date(0),
    lastHeartbeat: new Date(0),
    activeRequests: 0,
    completedRequests: 0,
    pendingRequestIds: new Set(),
    categoryActiveRequests: new Map(),
  };
}
