import { freeSlots, leastLoaded } from "./choosing.js";
import { SHUTTING_DOWN } from "./close-reasons.js";
import { HeartbeatAges } from "./heartbeat-ages.js";
import { Logger } from "./logger.js";
import { closeSocket, OPEN, sendText } from "./sockets.js";
import type { ConnectedWorker, PoolWorker, WorkerInfo, WorkerServerLogger } from "./types.js";
import { toWorkerInfo } from "./worker-info.js";
import { WorkerStatus } from "./worker-status.js";

export { toWorkerInfo };

/** How many timeouts without a heartbeat make a worker presumed dead. */
const PRESUMED_DEAD_AFTER = 3;

/**
 * Workers that the application keeps itself: it holds the very objects it is given, whose fields may be changed by hand
 * at any time and count at once. In a {@link WorkerServer} the server does all this by itself.
 *
 * @example
 * const pool = new WorkerPool();
 * pool.add(worker);
 * const found = pool.getAvailableWorker("sonnet");
 * if (found) {
 *   pool.trackRequest(found.id, "req-1");
 *   pool.send(found.id, { type: "work_request", requestId: "req-1" });
 * }
 */
export class WorkerPool {
  readonly #workers = new Map<string, ConnectedWorker>();
  /** The same, to be walked through faster; made when it is needed after somebody was removed or replaced. */
  #inOrder: ConnectedWorker[] | undefined = [];
  readonly #logger: Logger;
  readonly #ages = new HeartbeatAges();

  constructor(logger?: WorkerServerLogger) {
    this.#logger = new Logger(logger);
  }

  /** Adds a worker as the last in order. One with the same id is replaced, in its place; its socket is left alone. */
  add(given: PoolWorker): void {
    // It comes out as it went in: whoever gave it another socket than a WebSocket knows.
    const worker = given as ConnectedWorker;
    if (this.#workers.has(worker.id)) this.#inOrder = undefined;
    else this.#inOrder?.push(worker);
    this.#workers.set(worker.id, worker);
    this.#ages.note(worker);
  }

  /** Takes a worker out and returns it; its socket is left alone. */
  remove(workerId: string): ConnectedWorker | undefined {
    const worker = this.#workers.get(workerId);
    if (this.#workers.delete(workerId)) this.#inOrder = undefined;
    return worker;
  }

  get(workerId: string): ConnectedWorker | undefined {
    return this.#workers.get(workerId);
  }

  has(workerId: string): boolean {
    return this.#workers.has(workerId);
  }

  /** All workers, in order. Who is added or removed meanwhile is reached or skipped. */
  values(): IterableIterator<ConnectedWorker> {
    return this.#workers.values();
  }

  /**
   * The available worker with the lowest load (`activeRequests / maxConcurrentRequests`) that serves the model and, if a
   * category is given, is below its limit for it; the first one among equals. `null`: nobody.
   *
   * @throws TypeError when the model is no string, or a worker's capabilities are not what their type says.
   */
  getAvailableWorker(model: string, category?: string): ConnectedWorker | null {
    return leastLoaded(this.#all(), model, category, true);
  }

  /** The first worker in order that is available or busy. */
  getAnyAvailableWorker(): ConnectedWorker | null {
    for (const worker of this.#workers.values()) {
      if (worker.status === WorkerStatus.Available || worker.status === WorkerStatus.Busy) return worker;
    }
    return null;
  }

  /** Requests that the available workers for a model (and category) still take. Negative if they are over their limits. */
  getAvailableSlotCount(model: string, category?: string): number {
    return freeSlots(this.#all(), model, category);
  }

  /** All workers, healthy or not. */
  getCount(): number {
    return this.#workers.size;
  }

  /** Workers whose status is available. */
  getAvailableCount(): number {
    let count = 0;
    for (const worker of this.#all()) if (worker.status === WorkerStatus.Available) count++;
    return count;
  }

  /** What the application may see of all workers, in order: everything but their sockets. */
  getWorkerInfoList(): WorkerInfo[] {
    return this.#all().map(toWorkerInfo);
  }

  /** Counts a request as in flight on a worker; at its capacity the worker becomes busy. Enforces no limit. */
  trackRequest(workerId: string, requestId: string, category?: string): void {
    const worker = this.#workers.get(workerId);
    if (worker === undefined) return;
    worker.activeRequests++;
    worker.pendingRequests.add(requestId);
    if (category === undefined) {
      worker.requestCategories.delete(requestId);
    } else {
      worker.requestCategories.set(requestId, category);
      const counts = worker.categoryActiveRequests;
      counts.set(category, (counts.get(category) ?? 0) + 1);
    }
    if (worker.activeRequests >= worker.capabilities.maxConcurrentRequests) worker.status = WorkerStatus.Busy;
  }

  /** Ends a request in flight, on the first worker in order that has it. */
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void {
    for (const worker of this.#all()) {
      if (worker.pendingRequests.delete(requestId)) {
        return release(worker, requestId, options?.incrementCompleted === true);
      }
    }
  }

  /**
   * Marks workers whose last heartbeat is older than the timeout as unhealthy. Returns the ids of those that are silent
   * for more than three timeouts, in order; they stay in the pool. A step of the system's clock makes nobody silent.
   */
  checkHealth(timeoutMs: number): string[] {
    const dead: string[] = [];
    const workers = [...this.#workers.values()];
    const ages = this.#ages.of(workers);
    for (const [at, worker] of workers.entries()) {
      const timeSinceHeartbeat = Math.floor(ages[at]!);
      if (!(timeSinceHeartbeat > timeoutMs)) continue;
      const workerId = worker.id;
      if (worker.status !== WorkerStatus.Unhealthy) {
        worker.status = WorkerStatus.Unhealthy;
        this.#logger.warn("Worker heartbeat timeout", { workerId, timeSinceHeartbeat, threshold: timeoutMs });
      }
      if (timeSinceHeartbeat > timeoutMs * PRESUMED_DEAD_AFTER) dead.push(workerId);
    }
    return dead;
  }

  /** Sends a message as JSON. False: no such worker, its socket is not open or throws, or the message cannot be serialised. */
  send(workerId: string, message: unknown): boolean {
    const worker = this.#workers.get(workerId);
    if (worker?.websocket.readyState !== OPEN) return false;
    let text: string;
    try {
      text = JSON.stringify(message) ?? "";
    } catch {
      return false;
    }
    return sendText(worker.websocket, text);
  }

  /**
   * Sends a message as JSON to all workers whose socket is open.
   *
   * @throws TypeError when the message cannot be serialised.
   */
  broadcast(message: unknown): void {
    const text = JSON.stringify(message) ?? "";
    for (const { websocket } of this.#workers.values()) {
      if (websocket.readyState === OPEN) sendText(websocket, text);
    }
  }

  /** Closes all sockets (1001 "Server shutting down") and empties the pool. */
  closeAll(): void {
    const workers = this.#all();
    // First, so that whoever is told of an end at once finds nobody who is still there.
    this.#workers.clear();
    this.#inOrder = [];
    for (const { websocket } of workers) closeSocket(websocket, SHUTTING_DOWN);
  }

  #all(): ConnectedWorker[] {
    return (this.#inOrder ??= [...this.#workers.values()]);
  }
}

/** Brings a worker in line with the end of a request that its set does not have any more. */
function release(worker: ConnectedWorker, requestId: string, completed: boolean): void {
  worker.activeRequests = Math.max(0, worker.activeRequests - 1);
  const category = worker.requestCategories.get(requestId);
  if (category !== undefined) {
    worker.requestCategories.delete(requestId);
    const counts = worker.categoryActiveRequests;
    // The key stays, at 0.
    counts.set(category, Math.max(0, (counts.get(category) ?? 0) - 1));
  }
  if (completed) worker.completedRequests++;
  const isFree = worker.activeRequests < worker.capabilities.maxConcurrentRequests;
  if (worker.status === WorkerStatus.Busy && isFree) worker.status = WorkerStatus.Available;
}
