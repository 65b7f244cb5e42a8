import { EventEmitter } from "node:events";
import { WorkerPool, WorkerStatus, type PoolWorker } from "../../index.js";

/** A socket of the `ws` shape that goes nowhere and remembers what it was told. */
export class MockSocket extends EventEmitter {
  readyState = 1;
  readonly sent: string[] = [];
  readonly closes: [code: number | undefined, reason: string | undefined][] = [];

  send(text: string): void {
    this.sent.push(text);
  }

  close(code?: number, reason?: string): void {
    this.readyState = 2;
    this.closes.push([code, reason]);
  }

  /** A frame from the peer. */
  receive(message: unknown): void {
    this.receiveText(JSON.stringify(message));
  }

  receiveText(text: string): void {
    this.emit("message", Buffer.from(text), false);
  }

  /** The socket's end. */
  end(code = 1000, reason = ""): void {
    this.readyState = 3;
    this.emit("close", code, Buffer.from(reason));
  }
}

export interface PlainWorker extends PoolWorker {
  websocket: MockSocket;
}

/** A worker as an application makes it by hand. */
export function plainWorker(overrides: Partial<PlainWorker> = {}): PlainWorker {
  const now = new Date();
  return {
    id: "worker-1",
    name: "Worker One",
    websocket: new MockSocket(),
    capabilities: plainCapabilities(),
    status: WorkerStatus.Available,
    sessionId: "session",
    connectedAt: now,
    lastHeartbeat: now,
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
    ...overrides,
  };
}

export function plainCapabilities(
  max: unknown = 4,
  models: unknown = ["sonnet"],
  concurrencyLimits?: unknown,
): PoolWorker["capabilities"] {
  const infos = Array.isArray(models) ? models.map((modelId) => ({ modelId })) : models;
  const capabilities = { models: infos, maxConcurrentRequests: max };
  return (concurrencyLimits === undefined ? capabilities : { ...capabilities, concurrencyLimits }) as never;
}

/** A pool with these workers, and the workers. */
export function poolOf(...workers: Partial<PlainWorker>[]): { pool: WorkerPool; workers: PlainWorker[] } {
  const pool = new WorkerPool();
  const made = workers.map((worker, index) => plainWorker({ id: `worker-${index + 1}`, ...worker }));
  for (const worker of made) pool.add(worker);
  return { pool, workers: made };
}
