import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import type { WorkerStatus } from "./worker-status.js";

/** A model that a worker serves. */
export interface ModelInfo {
  /** Name by which requests ask for it; a request matches when one name contains the other. */
  modelId: string;
  /** Name for people. */
  displayName: string;
  /** In tokens. */
  maxContextTokens: number;
  /** In tokens. */
  maxOutputTokens: number;
  supportsStreaming: boolean;
  supportsVision?: boolean;
  supportsTools?: boolean;
}

/** What a worker said of itself when it registered. */
export interface WorkerCapabilities {
  models: ModelInfo[];
  /** Requests it works on at once. */
  maxConcurrentRequests: number;
  /** Whatever else it wants to tell; not looked at. */
  metadata?: Record<string, unknown>;
  /** Most requests at once by category; a category without an entry has no limit of its own. */
  concurrencyLimits?: Record<string, number>;
}

/**
 * A worker as the application sees it. The scalars are of the moment; `capabilities`, the set, the map and the dates
 * are the server's own objects, the same ones each time.
 */
export interface WorkerInfo {
  readonly id: string;
  readonly name: string;
  readonly status: WorkerStatus;
  readonly capabilities: WorkerCapabilities;
  /** UUID v4, a new one for each registration. */
  readonly sessionId: string;
  readonly connectedAt: Date;
  /** When its last heartbeat came; the time of registration before the first. */
  readonly lastHeartbeat: Date;
  /** Requests in flight. */
  readonly activeRequests: number;
  /** Requests released with `incrementCompleted`. */
  readonly completedRequests: number;
  /** Ids of the requests in flight. */
  readonly pendingRequestIds: ReadonlySet<string>;
  /** Requests in flight by category. */
  readonly categoryActiveRequests: ReadonlyMap<string, number>;
}

/** The part of a WebSocket that a pool needs. */
export interface WorkerSocket {
  /** 1: open. */
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** A worker as a pool keeps it. Its fields may be changed by hand and count at once. */
export interface ConnectedWorker {
  id: string;
  name: string;
  websocket: WorkerSocket;
  capabilities: WorkerCapabilities;
  status: WorkerStatus;
  sessionId: string;
  connectedAt: Date;
  lastHeartbeat: Date;
  activeRequests: number;
  /** Ids of the requests in flight. */
  pendingRequests: Set<string>;
  completedRequests: number;
  /** Category of each request in flight that has one. */
  requestCategories: Map<string, string>;
  /** Requests in flight by category. */
  categoryActiveRequests: Map<string, number>;
}

/** Where the server logs. A method that throws does no harm. */
export interface WorkerServerLogger {
  debug(message: string, context?: Record<string, unknown>): void;
  info(message: string, context?: Record<string, unknown>): void;
  warn(message: string, context?: Record<string, unknown>): void;
  error(message: string, context?: Record<string, unknown>): void;
}

/** Options of a {@link WorkerServer}. */
export interface WorkerServerOptions {
  /** TCP port on all interfaces; 0: any free one, see `server.port`. */
  port: number;
  /** Token that a worker must show when it registers. Default: none is needed. */
  authToken?: string;
  /** Age in milliseconds beyond which a worker without heartbeat is unhealthy; three times that: presumed dead. Default 60,000. */
  heartbeatTimeoutMs?: number;
  /** Milliseconds between two checks for silent workers. Default 10,000. */
  healthCheckIntervalMs?: number;
  /** Milliseconds between two heartbeats, told to workers when they register. Default 15,000. */
  heartbeatIntervalMs?: number;
  /** Default: nothing is logged. */
  logger?: WorkerServerLogger;
  /**
   * Path, such as "/healthz", at which the native side itself answers GET and HEAD with 200 and JSON: `status`, `workers`,
   * `available`, `uptimeSeconds`, `eventLoopLagMs`; also while the event loop is blocked. Default: none.
   */
  healthPath?: string;
}

/** How `stop` behaves. */
export interface StopOptions {
  /** Milliseconds that connections have to end by themselves before they are dropped. Default 5,000. */
  timeoutMs?: number;
}

export type WorkerConnectedHandler = (worker: WorkerInfo) => void;

export type WorkerDisconnectedHandler = (worker: WorkerInfo, pendingRequestIds: ReadonlySet<string>) => void;

// A worker's message is whatever JSON it sent, which the application knows and the server does not.
export type WorkerMessageHandler<T = any> = (worker: WorkerInfo, message: T) => void;

/**
 * Serves an HTTP request. A true result says that it did; otherwise the next handler is asked, and after the last the
 * answer is 404.
 */
export type HttpRequestHandler = (req: IncomingMessage, res: ServerResponse) => Promise<boolean>;

/** Takes a WebSocket that was opened at an endpoint's path. */
export type WebSocketConnectionHandler = (ws: WebSocket) => void;
