import { EventEmitter } from "node:events";

import type { WorkerInfo } from "../types.js";
import type { WorkerServer } from "../worker-server.js";
import { emitError } from "./emitting.js";
import { hasCode } from "./errors.js";
import type { WorkerRegistration } from "./types.js";
import type { WorkerRegistry } from "./worker-registry.js";

const SYNC_INTERVAL = 500;

/** What is needed of a server. */
type Server = Pick<WorkerServer, "onWorkerConnected" | "onWorkerDisconnected" | "getWorkerInfo">;

/** A worker of the server, and what the registry has been told of it. */
interface Entry {
  id: string | undefined;
  tasks: number;
  completed: number;
  heartbeat: number;
  /** Steps of one worker run one after the other. */
  last: Promise<void>;
}

/** The workers of a server in a registry. Ended by `stop`. */
export class ServerRegistration extends EventEmitter<{ error: [error: Error] }> {
  readonly #server: Server;
  readonly #registry: WorkerRegistry;
  /** By session, so that a worker that connects again is another one. */
  readonly #entries = new Map<string, Entry>();
  readonly #unsubscribe: Array<() => void>;
  readonly #timer: NodeJS.Timeout;
  #hasEnded = false;

  /** Made by {@link registerServer}. */
  constructor(server: Server, registry: WorkerRegistry, interval: number) {
    super();
    this.#server = server;
    this.#registry = registry;
    this.#unsubscribe = [
      server.onWorkerConnected((worker) => this.#add(worker)),
      server.onWorkerDisconnected((worker) => void this.#remove(worker.sessionId)),
    ];
    for (const worker of server.getWorkerInfo()) this.#add(worker);
    this.#timer = setInterval(() => void this.sync(), interval).unref();
  }

  /** The id that a connected worker has in the registry; undefined: it is not registered yet. */
  registeredId(worker: Pick<WorkerInfo, "sessionId">): string | undefined {
    return this.#entries.get(worker.sessionId)?.id;
  }

  /** Brings the registry up to date now. Never rejects; failures are `error` events. */
  async sync(): Promise<void> {
    await Promise.all(this.#server.getWorkerInfo().map((worker) => this.#update(worker)));
  }

  /** Unregisters every worker and stops following the server. */
  async stop(): Promise<void> {
    this.#end();
    await Promise.all([...this.#entries.keys()].map((session) => this.#remove(session)));
  }

  /** Returns false if it has ended before. */
  #end(): boolean {
    const isFirst = !this.#hasEnded;
    this.#hasEnded = true;
    clearInterval(this.#timer);
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    return isFirst;
  }

  #add(worker: WorkerInfo): void {
    if (this.#entries.has(worker.sessionId)) return;
    this.#entries.set(worker.sessionId, {
      id: undefined,
      tasks: 0,
      completed: 0,
      heartbeat: 0,
      last: Promise.resolve(),
    });
    void this.#update(worker);
  }

  #update(worker: WorkerInfo): Promise<void> {
    const entry = this.#entries.get(worker.sessionId);
    if (entry === undefined) return Promise.resolve();
    return this.#step(entry, async () => {
      if (!this.#entries.has(worker.sessionId)) return;
      try {
        await this.#tell(entry, worker);
      } catch (error) {
        if (!hasCode(error, "WORKER_NOT_FOUND")) throw error;
        // The registry has lost it, perhaps with all its data.
        entry.id = undefined;
        await this.#tell(entry, worker);
      }
    });
  }

  async #tell(entry: Entry, worker: WorkerInfo): Promise<void> {
    if (entry.id === undefined) {
      entry.id = (await this.#registry.registerWorker(registrationOf(worker))).id;
      Object.assign(entry, { tasks: 0, completed: 0, heartbeat: worker.lastHeartbeat.getTime() });
    }
    const { activeRequests, completedRequests } = worker;
    const heartbeat = worker.lastHeartbeat.getTime();
    if (heartbeat > entry.heartbeat) {
      await this.#registry.heartbeat(entry.id);
      entry.heartbeat = heartbeat;
    }
    if (activeRequests !== entry.tasks) {
      await this.#registry.updateTaskCount(entry.id, activeRequests - entry.tasks);
      entry.tasks = activeRequests;
    }
    if (completedRequests !== entry.completed) {
      await this.#registry.updateMetrics(entry.id, { tasksCompleted: completedRequests });
      entry.completed = completedRequests;
    }
  }

  #remove(session: string): Promise<void> {
    const entry = this.#entries.get(session);
    if (entry === undefined) return Promise.resolve();
    this.#entries.delete(session);
    return this.#step(entry, async () => {
      if (entry.id !== undefined) await this.#registry.unregisterWorker(entry.id);
    });
  }

  #step(entry: Entry, work: () => Promise<void>): Promise<void> {
    entry.last = entry.last.then(work).catch((error: unknown) => {
      // It stays closed, so there is nothing to follow any more.
      if (hasCode(error, "REGISTRY_CLOSED") && !this.#end()) return;
      emitError(this, error);
    });
    return entry.last;
  }
}

/**
 * Shows the workers of a server in a registry for as long as they are connected. The id of a worker becomes its `nodeId`; its
 * models and the plain values of its metadata (`key:value`) become its capabilities. Heartbeats, requests in flight and
 * completed requests follow within `syncIntervalMs` (default: 500).
 *
 * Requests are counted by `server.trackRequest`; do not reserve the same slots with `tryAcquire` as well.
 *
 * @throws TypeError if `syncIntervalMs` is no positive number.
 * @example
 * const registration = registerServer(server, registry);
 * await registration.stop();
 */
export function registerServer(
  server: Server,
  registry: WorkerRegistry,
  options: { syncIntervalMs?: number } = {},
): ServerRegistration {
  const { syncIntervalMs = SYNC_INTERVAL } = options;
  if (typeof syncIntervalMs !== "number" || !(syncIntervalMs > 0) || syncIntervalMs >= 2 ** 31) {
    throw new TypeError("syncIntervalMs must be a positive number of milliseconds");
  }
  return new ServerRegistration(server, registry, syncIntervalMs);
}

function registrationOf(worker: WorkerInfo): WorkerRegistration {
  const { models, metadata = {}, maxConcurrentRequests } = worker.capabilities;
  const capabilities = [
    ...models.map(({ modelId }) => modelId),
    ...Object.entries(metadata).flatMap(([key, value]) => described(key, value)),
  ];
  return {
    nodeId: worker.id,
    capabilities: [...new Set(capabilities)],
    maxConcurrentTasks: slots(maxConcurrentRequests),
  };
}

function described(key: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => described(key, one));
  const isPlain = ["string", "number", "boolean"].includes(typeof value);
  return isPlain ? [`${key}:${String(value)}`] : [];
}

function slots(maxConcurrentRequests: number): number {
  return Math.min(Math.max(Math.floor(maxConcurrentRequests), 1), Number.MAX_SAFE_INTEGER) || 1;
}
