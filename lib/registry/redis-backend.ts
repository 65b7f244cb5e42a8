import type { CheckedFilter, CheckedLease } from "./arguments.js";
import type { BackendListener, RegistryBackend } from "./backend.js";
import { timeToLive } from "./config.js";
import type { Settings } from "./config.js";
import { hasCode, registryError, workerNotFound } from "./errors.js";
import type { RedisConnection, RedisEvent } from "./redis-store.js";
import { corruptRecord } from "./store-answers.js";
import type {
  ReleaseOptions,
  Reservation,
  UnregisterReason,
  Worker,
  WorkerMetrics,
  WorkerRegistration,
  WorkerWithPriority,
} from "./types.js";
import { nonce } from "./worker-id.js";
import { healthOf, withoutPriority, withPriority } from "./worker.js";

/** A worker as the engine's side writes it. */
interface Answer {
  priority: number;
  record: Omit<Worker, "lastHeartbeat" | "startedAt"> & { lastHeartbeat: string; startedAt: string };
}

interface AnswerList {
  workers: Answer[];
  corrupt: string[];
}

const WORKER_PREFIX = "task-sentinel/workers/";

/** Workers on Redis or Valkey. Every change is one script there. */
export class RedisBackend implements RegistryBackend {
  readonly #settings: Settings;
  readonly #connection: RedisConnection;
  readonly #listener: BackendListener;
  readonly #registry: number;
  readonly #unsubscribe: () => void;
  #reported = new Set<string>();
  #ttl: number;

  constructor(settings: Settings, connection: RedisConnection, listener: BackendListener) {
    this.#settings = settings;
    this.#connection = connection;
    this.#listener = listener;
    this.#ttl = timeToLive(settings, false);
    this.#registry = connection.attach(settings.ranking);
    this.#unsubscribe = connection.subscribe((event) => this.#hear(event));
  }

  /** Only the ids of new workers are made of it; all else goes by the clock of the engine. */
  now(): number {
    return Date.now();
  }

  setCleanupRunning(isRunning: boolean): void {
    this.#ttl = timeToLive(this.#settings, isRunning);
  }

  async register(id: string, registration: WorkerRegistration): Promise<Worker> {
    const isUniqueNode = this.#settings.uniqueNodeId;
    const answer = await this.#call({ op: "register", id, ...registration, isUniqueNode, ttl: this.#ttl });
    return withoutPriority(workerOf(answer as Answer));
  }

  async unregister(id: string): Promise<void> {
    await this.#call({ op: "unregister", id });
  }

  async heartbeat(id: string): Promise<void> {
    await this.#change(id, { op: "heartbeat" });
  }

  async updateTaskCount(id: string, delta: number): Promise<void> {
    await this.#change(id, { op: "updateTaskCount", delta, isStrict: this.#settings.strictCapacity });
  }

  async updateMetrics(id: string, metrics: Partial<WorkerMetrics>): Promise<void> {
    await this.#change(id, { op: "updateMetrics", ...metrics });
  }

  async recordTaskCompletion(id: string, success: boolean, duration: number): Promise<void> {
    await this.#change(id, { op: "recordTaskCompletion", success, duration });
  }

  async setDraining(id: string, draining: boolean): Promise<void> {
    await this.#change(id, { op: "setDraining", draining });
  }

  async getWorker(id: string): Promise<Worker | null> {
    const answer = (await this.#call({ op: "getWorker", id })) as Answer | null;
    return answer === null ? null : withoutPriority(workerOf(answer));
  }

  async discover(filter: CheckedFilter): Promise<Worker[]> {
    const answer = await this.#call({ op: "discover", filter: filterOf(filter) });
    return this.#read(answer as AnswerList).map(withoutPriority);
  }

  async rank(filter: CheckedFilter, limit: number): Promise<WorkerWithPriority[]> {
    const most = Number.isFinite(limit) ? limit : undefined;
    const answer = await this.#call({ op: "rank", filter: filterOf(filter), limit: most });
    return this.#read(answer as AnswerList);
  }

  async acquire(filter: CheckedFilter, count: number): Promise<WorkerWithPriority | null> {
    const answer = await this.#call({ op: "acquire", filter: filterOf(filter), count, ttl: this.#ttl });
    return answer === null ? null : workerOf((answer as { worker: Answer }).worker);
  }

  async acquireLease(filter: CheckedFilter, lease: CheckedLease): Promise<Reservation | null> {
    const { count, leaseMs, owner } = lease;
    const answer = (await this.#call({
      op: "acquire",
      filter: filterOf(filter),
      count,
      lease: { nonce: nonce(), leaseMs, owner },
      ttl: this.#ttl,
    })) as { worker: Answer; token: string; expiresAt: number } | null;
    if (answer === null) return null;
    const { worker, token, expiresAt } = answer;
    return { worker: workerOf(worker), token, expiresAt: new Date(expiresAt) };
  }

  async renew(token: string, leaseMs: number | undefined): Promise<Date> {
    const end = (await this.#call({ op: "renew", token, leaseMs, ttl: this.#ttl })) as number | null;
    if (end === null) throw registryError("RESERVATION_NOT_FOUND", "The reservation has ended");
    return new Date(end);
  }

  async release(token: string, options: ReleaseOptions & { durationMs: number }): Promise<boolean> {
    return (await this.#call({ op: "release", token, ...options, ttl: this.#ttl })) as boolean;
  }

  async cleanup(keepsAll: boolean): Promise<string[]> {
    return (await this.#call({ op: "cleanup", keepsAll })) as string[];
  }

  close(): void {
    this.#unsubscribe();
  }

  #call(request: object): Promise<unknown> {
    return this.#connection.call(this.#registry, request);
  }

  async #change(id: string, request: object): Promise<void> {
    try {
      await this.#call({ ...request, id: String(id), ttl: this.#ttl });
    } catch (error) {
      if (hasCode(error, "WORKER_NOT_FOUND")) throw workerNotFound(id);
      if (hasCode(error, "WORKER_NO_CAPACITY")) {
        throw registryError("WORKER_NO_CAPACITY", `Worker ${id} has no capacity`);
      }
      throw error;
    }
  }

  #read({ workers, corrupt }: AnswerList): WorkerWithPriority[] {
    const before = this.#reported;
    this.#reported = new Set(corrupt);
    for (const id of corrupt) {
      if (!before.has(id)) this.#listener.failed(corruptRecord(WORKER_PREFIX + id, "not the JSON of one"));
    }
    return workers.map(workerOf);
  }

  #hear(event: RedisEvent): void {
    if (event.type === "gone") {
      this.#listener.unregistered(event.id, event.reason as UnregisterReason);
    } else if (event.type !== "resync") {
      this.#tellOfWorker(event).catch((error: unknown) => {
        // Closed meanwhile: nobody wants to know any more.
        if (hasCode(error, "STORE_CLOSED")) return;
        this.#listener.failed(error instanceof Error ? error : new Error(String(error)));
      });
    }
  }

  async #tellOfWorker(event: RedisEvent & { id: string }): Promise<void> {
    const worker = await this.getWorker(event.id);
    // Gone meanwhile, which is told of too.
    if (worker === null) return;
    if (event.type === "registered") this.#listener.registered(worker);
    else if (event.type === "health") {
      this.#listener.healthChanged(worker, healthOf(event.from), healthOf(event.to));
    }
  }
}

function filterOf({ capabilities, health, minAvailable }: CheckedFilter): object {
  return { capabilities, health, minAvailable: Number.isNaN(minAvailable) ? undefined : minAvailable };
}

function workerOf({ priority, record }: Answer): WorkerWithPriority {
  const { lastHeartbeat, startedAt, ...rest } = record;
  const worker: Worker = {
    id: rest.id,
    nodeId: rest.nodeId,
    capabilities: rest.capabilities,
    maxConcurrentTasks: rest.maxConcurrentTasks,
    currentTasks: rest.currentTasks,
    healthStatus: rest.healthStatus,
    lastHeartbeat: new Date(lastHeartbeat),
    startedAt: new Date(startedAt),
    metrics: rest.metrics,
  };
  if (rest.draining === true) worker.draining = true;
  return withPriority(worker, priority);
}
