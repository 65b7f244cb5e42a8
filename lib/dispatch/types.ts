import type { ModelInfo } from "../types.js";
import type { WorkerStatus } from "../worker-status.js";

/**
 * A message: JSON with a type. Whatever else is in it, the application knows and the server does not.
 *
 * @example
 * const message: WorkerMessage = { type: "work_complete", requestId: "req-1", output: "..." };
 */
export interface WorkerMessage {
  type: string;
  /** The request that it is about; a message that is about none has no such field. */
  requestId?: string;
  [field: string]: any;
}

/** What a worker said of itself when it registered; frozen. */
export interface SnapshotCapabilities {
  /** Requests it works on at once. */
  readonly maxConcurrentRequests: number;
  readonly models: readonly ModelInfo[];
  /** Whatever else it wants to tell; the values are not copied. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Most requests at once by category; a category without an entry has no limit of its own. */
  readonly concurrencyLimits?: Readonly<Record<string, number>>;
}

/** The requests of a worker; frozen. */
export interface WorkerRequests {
  /** Requests in flight. */
  readonly active: number;
  /** Requests that were completed; failed ones are not counted. */
  readonly completed: number;
  /** Ids of the requests in flight, the oldest first. */
  readonly pendingIds: readonly string[];
  /** Requests in flight by category; a category without any is left out. */
  readonly activeByCategory: Readonly<Record<string, number>>;
}

/**
 * A worker at one moment: frozen, and not changed by what happens later.
 *
 * @example
 * for (const worker of server.listWorkers()) console.log(worker.name, worker.requests.active);
 */
export interface WorkerSnapshot<Status = WorkerStatus> {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  readonly capabilities: SnapshotCapabilities;
  /** UUID v4, a new one for each registration. */
  readonly sessionId: string;
  readonly connectedAt: Date;
  /** When its last heartbeat came; the time of registration before the first. */
  readonly lastHeartbeat: Date;
  readonly requests: WorkerRequests;
}

/** How a request ends. Both do something once, whichever is called first; they may be called detached. */
export interface Settlement {
  /** Ends the request and counts it as completed. */
  complete(): void;
  /** Ends the request without counting it as completed. */
  fail(): void;
}

/** What `dispatch` is to send, and to whom. */
export interface DispatchRequest<
  T extends { type: string; requestId: string } = WorkerMessage & { requestId: string },
> {
  /** Only to a worker with a model of that name; it matches when one name contains the other. Default: to any. */
  model?: string | undefined;
  /** Counts against the worker's limit for this category, if it has one. Default: no category. */
  category?: string | undefined;
  /** Sent as JSON. Its `requestId` is tracked until `complete` or `fail`. */
  message: T;
}

/** A request that was sent to a worker; frozen. */
export interface DispatchedRequest<
  T extends { type: string; requestId: string } = WorkerMessage & { requestId: string },
  Worker = WorkerSnapshot,
> extends Settlement {
  /** The worker it was sent to, with this request among its own. */
  readonly worker: Worker;
  /** The message that was given. */
  readonly message: T;
  readonly requestId: string;
}

/** A message that came from a worker; frozen, but for the message. All handlers get the same one. */
export interface WorkerMessageEvent<
  T extends { type: string } = WorkerMessage,
  Worker = WorkerSnapshot,
> extends Settlement {
  /** Who sent it, at the moment at which the event was made. */
  readonly worker: Worker;
  readonly message: T;
  /** The message's `requestId`; null if that is no string, and then `complete` and `fail` do nothing. */
  readonly requestId: string | null;
}

/** Called with each message of the type it is subscribed to. */
export type WorkerEventHandler<T extends { type: string } = WorkerMessage> = (
  event: WorkerMessageEvent<T>,
) => void;
