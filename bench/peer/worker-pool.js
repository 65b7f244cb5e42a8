/** The workers in order of registration; what is asked about them is found by looking at one after the other. */
export class WorkerPool {
  #workers = new Map();

  get size() {
    return this.#workers.size;
  }

  get(id) {
    return this.#workers.get(id);
  }

  values() {
    return this.#workers.values();
  }

  add(worker) {
    this.#workers.set(worker.id, worker);
  }

  remove(id) {
    this.#workers.delete(id);
  }

  clear() {
    this.#workers.clear();
  }

  /** The least loaded one that serves the model; the first among equals. */
  select(model, category) {
    let best = null;
    let bestLoad = Infinity;
    for (const worker of this.#workers.values()) {
      if (worker.status !== "available" || !serves(worker, model)) continue;
      const most = worker.capabilities.maxConcurrentRequests;
      if (worker.active >= most || freeInCategory(worker, category) <= 0) continue;
      const load = worker.active / most;
      if (load < bestLoad) {
        best = worker;
        bestLoad = load;
      }
    }
    return best;
  }

  selectAny() {
    for (const worker of this.#workers.values()) {
      if (worker.status === "available" || worker.status === "busy") return worker;
    }
    return null;
  }

  freeSlots(model, category) {
    let slots = 0;
    for (const worker of this.#workers.values()) {
      if (worker.status !== "available" || !serves(worker, model)) continue;
      const free = worker.capabilities.maxConcurrentRequests - worker.active;
      slots += Math.min(free, freeInCategory(worker, category));
    }
    return slots;
  }

  availableCount() {
    let count = 0;
    for (const worker of this.#workers.values()) {
      if (worker.status === "available") count++;
    }
    return count;
  }

  track(id, requestId, category) {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.pending.add(requestId);
    worker.active++;
    if (category !== undefined) {
      worker.categories.set(requestId, category);
      worker.activeByCategory.set(category, (worker.activeByCategory.get(category) ?? 0) + 1);
    }
    if (isFull(worker)) worker.status = "busy";
  }

  release(requestId, completed) {
    for (const worker of this.#workers.values()) {
      if (!worker.pending.delete(requestId)) continue;
      worker.active = Math.max(0, worker.active - 1);
      const category = worker.categories.get(requestId);
      if (category !== undefined) {
        worker.categories.delete(requestId);
        worker.activeByCategory.set(category, Math.max(0, worker.activeByCategory.get(category) - 1));
      }
      if (completed) worker.completed++;
      if (worker.status === "busy" && !isFull(worker)) worker.status = "available";
      return;
    }
  }

  /** Takes note that an unhealthy worker is alive. */
  recover(worker) {
    worker.status = isFull(worker) ? "busy" : "available";
  }
}

/** What handlers and callers see of a worker. */
export function toInfo(worker) {
  return {
    id: worker.id,
    name: worker.name,
    status: worker.status,
    capabilities: worker.capabilities,
    sessionId: worker.sessionId,
    connectedAt: worker.connectedAt,
    lastHeartbeat: worker.lastHeartbeat,
    activeRequests: worker.active,
    completedRequests: worker.completed,
    pendingRequestIds: worker.pending,
    categoryActiveRequests: worker.activeByCategory,
  };
}

function isFull(worker) {
  return worker.active >= worker.capabilities.maxConcurrentRequests;
}

function serves(worker, wanted) {
  return worker.capabilities.models.some(
    ({ modelId }) => modelId === wanted || modelId.includes(wanted) || wanted.includes(modelId),
  );
}

/** Without a category or a limit for it, there is no end. */
function freeInCategory(worker, category) {
  if (category === undefined) return Infinity;
  const limit = worker.capabilities.concurrencyLimits?.[category];
  return limit === undefined ? Infinity : limit - (worker.activeByCategory.get(category) ?? 0);
}
