import { randomUUID } from "node:crypto";
import {
  type PoolWorker,
  type WorkerCapabilities,
  type WorkerInfo,
  type WorkerSocket,
  WorkerStatus,
} from "../../index.js";

/**
 * The pool as section 10 of the specification describes it, without a thought for speed: every question walks over all
 * workers. The differential tests hold the package against it.
 */
export class ReferencePool {
  readonly workers = new Map<unknown, PoolWorker>();

  add(worker: PoolWorker): void {
    this.workers.set(worker.id, worker);
  }

  /** Available, serves the model, below its capacity and below its limit for the category: the least loaded such worker. */
  getAvailableWorker(model: string, category?: string): PoolWorker | null {
    let best: PoolWorker | null = null;
    for (const worker of this.#candidates(model)) {
      const { activeRequests, capabilities } = worker;
      const isBelowCapacity = activeRequests < capabilities.maxConcurrentRequests;
      if (!isBelowCapacity || !(freeInCategory(worker, category) > 0)) continue;
      if (best === null || loadOf(worker) < loadOf(best)) best = worker;
    }
    return best;
  }

  getAnyAvailableWorker(): PoolWorker | null {
    for (const worker of this.workers.values()) {
      if (worker.status === WorkerStatus.Available || worker.status === WorkerStatus.Busy) return worker;
    }
    return null;
  }

  getAvailableSlotCount(model: string, category?: string): number {
    let sum = 0;
    for (const worker of this.#candidates(model)) {
      // A fraction is no slot, also in limits of categories.
      const free = Math.floor(worker.capabilities.maxConcurrentRequests) - worker.activeRequests;
      const contribution = Math.min(free, freeInCategory(worker, category));
      // Deviation 17 of section 14: a worker without a maximum contributes nothing instead of NaN.
      sum += Number.isNaN(contribution) ? 0 : contribution;
    }
    return sum;
  }

  getAvailableCount(): number {
    return [...this.workers.values()].filter(({ status }) => status === WorkerStatus.Available).length;
  }

  trackRequest(id: unknown, requestId: string, category?: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined) return;
    worker.activeRequests++;
    worker.pendingRequests.add(requestId);
    worker.requestCategories.delete(requestId);
    if (category !== undefined) {
      worker.requestCategories.set(requestId, category);
      const counts = worker.categoryActiveRequests;
      counts.set(category, (counts.get(category) ?? 0) + 1);
    }
    if (worker.activeRequests >= worker.capabilities.maxConcurrentRequests) worker.status = WorkerStatus.Busy;
  }

  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void {
    for (const worker of this.workers.values()) {
      if (!worker.pendingRequests.delete(requestId)) continue;
      worker.activeRequests = Math.max(0, worker.activeRequests - 1);
      const category = worker.requestCategories.get(requestId);
      if (category !== undefined) {
        worker.requestCategories.delete(requestId);
        const counts = worker.categoryActiveRequests;
        counts.set(category, Math.max(0, (counts.get(category) ?? 0) - 1));
      }
      if (options?.incrementCompleted === true) worker.completedRequests++;
      const isBelowCapacity = worker.activeRequests < worker.capabilities.maxConcurrentRequests;
      if (worker.status === WorkerStatus.Busy && isBelowCapacity) worker.status = WorkerStatus.Available;
      return;
    }
  }

  heartbeat(worker: PoolWorker): void {
    worker.lastHeartbeat = new Date();
    if (worker.status !== WorkerStatus.Unhealthy) return;
    const isFull = worker.activeRequests >= worker.capabilities.maxConcurrentRequests;
    worker.status = isFull ? WorkerStatus.Busy : WorkerStatus.Available;
  }

  /** Marks who was silent for too long, telling `onTimeout`, and returns who was for three times that. */
  checkHealth(timeoutMs: number, onTimeout: (worker: PoolWorker, silentMs: number) => void): PoolWorker[] {
    const dead: PoolWorker[] = [];
    for (const worker of this.workers.values()) {
      const silentMs = Date.now() - worker.lastHeartbeat.getTime();
      if (silentMs <= timeoutMs) continue;
      if (worker.status !== WorkerStatus.Unhealthy) {
        worker.status = WorkerStatus.Unhealthy;
        onTimeout(worker, silentMs);
      }
      if (silentMs > 3 * timeoutMs) dead.push(worker);
    }
    return dead;
  }

  #candidates(model: string): PoolWorker[] {
    if (typeof model !== "string" && this.workers.size > 0) throw new TypeError("the model is no string");
    return [...this.workers.values()].filter(
      ({ status, capabilities }) => status === WorkerStatus.Available && serves(capabilities, model),
    );
  }
}

function serves({ models }: WorkerCapabilities, wanted: string): boolean {
  return models.some(({ modelId }) => modelId.includes(wanted) || wanted.includes(modelId));
}

function loadOf({ activeRequests, capabilities }: PoolWorker): number {
  return activeRequests / capabilities.maxConcurrentRequests;
}

/** `Infinity` where no limit applies; an inherited key is none, and `null` counts as 0. */
function freeInCategory(worker: PoolWorker, category: string | undefined): number {
  const limits = worker.capabilities.concurrencyLimits;
  if (category === undefined || limits === undefined || !Object.hasOwn(limits, category)) return Infinity;
  const limit = limits[category];
  if (limit === undefined) return Infinity;
  return Math.floor(Number(limit)) - (worker.categoryActiveRequests.get(category) ?? 0);
}

/** A worker as it is right after its registration. */
export function connectedWorker(registration: any, websocket: WorkerSocket): PoolWorker {
  const now = new Date();
  return {
    id: registration.workerId,
    name: registration.workerName,
    websocket,
    capabilities: registration.capabilities,
    status: WorkerStatus.Available,
    sessionId: randomUUID(),
    connectedAt: now,
    lastHeartbeat: now,
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
  };
}

/** Who a message comes from when its socket has no worker in the pool. */
export function unknownInfo(): WorkerInfo {
  return {
    id: "unknown",
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
