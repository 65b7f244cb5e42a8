/*
 * A worker registry in plain JavaScript, as its usage guide describes it: a Map with JSON values and a time to live, read,
 * changed and written back by every call, and all of them read to find some. What worker-server-native/registry is measured
 * against.
 */
const PREFIX = "task-sentinel/workers/";
const HEALTHY_MS = 600_000;
const DEGRADED_MS = 900_000;
const TTL_MS = 900_000;
const EVENT_TTL_MS = 60_000;

/** Keys and values with times to live, which are looked at when a key is read. */
export class Memory {
  #entries = new Map();

  async store(key, value, ttl) {
    this.#entries.set(key, { value, storedAt: Date.now(), ttl });
  }

  async get(key) {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (entry.ttl && Date.now() - entry.storedAt > entry.ttl) {
      this.#entries.delete(key);
      return null;
    }
    return entry.value;
  }

  async delete(key) {
    this.#entries.delete(key);
  }

  async list(prefix = "") {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix));
  }
}

export class Registry {
  memory = new Memory();

  async registerWorker({ nodeId, capabilities, maxConcurrentTasks }) {
    const now = new Date();
    const worker = {
      id: `worker-${now.getTime()}-${Math.random().toString(36).slice(2, 11).padEnd(9, "0")}`,
      nodeId,
      capabilities,
      maxConcurrentTasks,
      currentTasks: 0,
      healthStatus: "healthy",
      lastHeartbeat: now,
      startedAt: now,
      metrics: { tasksCompleted: 0, tasksFailedCount: 0, averageTaskDuration: 0 },
    };
    await this.#store(worker);
    await this.memory.store(
      `task-sentinel/events/worker-registered/${now.getTime()}`,
      JSON.stringify({
        type: "worker-registered",
        workerId: worker.id,
        nodeId,
        capabilities,
        timestamp: now,
      }),
      EVENT_TTL_MS,
    );
    return worker;
  }

  async heartbeat(id) {
    const worker = await this.#found(id);
    worker.lastHeartbeat = new Date();
    worker.healthStatus = healthOf(worker);
    await this.#store(worker);
  }

  async updateTaskCount(id, delta) {
    const worker = await this.#found(id);
    worker.currentTasks = Math.max(0, worker.currentTasks + delta);
    await this.#store(worker);
  }

  async recordTaskCompletion(id, success, duration) {
    const worker = await this.#found(id);
    const { metrics } = worker;
    const ended = metrics.tasksCompleted + metrics.tasksFailedCount;
    metrics.averageTaskDuration = (metrics.averageTaskDuration * ended + duration) / (ended + 1);
    if (success) metrics.tasksCompleted += 1;
    else metrics.tasksFailedCount += 1;
    worker.currentTasks = Math.max(0, worker.currentTasks - 1);
    await this.#store(worker);
  }

  async getWorker(id) {
    const json = await this.memory.get(PREFIX + id);
    if (json === null) return null;
    const worker = JSON.parse(json);
    worker.lastHeartbeat = new Date(worker.lastHeartbeat);
    worker.startedAt = new Date(worker.startedAt);
    return worker;
  }

  async discoverWorkers({ capabilities = [], healthStatus = [], minAvailableCapacity = -Infinity } = {}) {
    const found = [];
    for (const key of await this.memory.list(PREFIX)) {
      const worker = await this.getWorker(key.slice(PREFIX.length));
      if (worker === null) continue;
      worker.healthStatus = healthOf(worker);
      const isWanted =
        capabilities.every((capability) => worker.capabilities.includes(capability)) &&
        (healthStatus.length === 0 || healthStatus.includes(worker.healthStatus)) &&
        worker.maxConcurrentTasks - worker.currentTasks >= minAvailableCapacity;
      if (isWanted) found.push(worker);
    }
    return found;
  }

  async getWorkersForLoadBalancing(filter = {}) {
    const workers = (await this.discoverWorkers(filter)).map(withPriority);
    workers.sort((a, b) => b.priority - a.priority);
    return filter.limit === undefined ? workers : workers.slice(0, filter.limit);
  }

  /** Not one step: another caller may take the slot in between. */
  async tryAcquire(filter = {}) {
    const [best] = await this.getWorkersForLoadBalancing({ ...filter, minAvailableCapacity: 1 });
    if (best === undefined) return null;
    await this.updateTaskCount(best.id, 1);
    return best;
  }

  async #found(id) {
    const worker = await this.getWorker(id);
    if (worker === null) throw new Error(`Worker ${id} not found`);
    return worker;
  }

  async #store(worker) {
    await this.memory.store(PREFIX + worker.id, JSON.stringify(worker), TTL_MS);
  }
}

function healthOf({ lastHeartbeat }) {
  const age = Date.now() - lastHeartbeat.getTime();
  return age <= HEALTHY_MS ? "healthy" : age <= DEGRADED_MS ? "degraded" : "unhealthy";
}

function withPriority(worker) {
  const { maxConcurrentTasks, currentTasks, metrics } = worker;
  const availableCapacity = maxConcurrentTasks - currentTasks;
  const tasks = metrics.tasksCompleted + metrics.tasksFailedCount;
  const successRate = tasks === 0 ? 1 : metrics.tasksCompleted / tasks;
  const speed = metrics.averageTaskDuration === 0 ? 1 : 1 / (metrics.averageTaskDuration / 1000);
  const priority =
    (availableCapacity / maxConcurrentTasks) * 0.5 + successRate * 0.3 + Math.min(speed, 1) * 0.2;
  return { ...worker, priority, availableCapacity, successRate };
}
