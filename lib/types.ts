import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import type { WorkerStatus } from "./worker-status.js";

export { WorkerStatus } from "./worker-status.js";

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

/** What a pool needs of a worker. */
export interface PoolWorker {
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

/** A worker as a pool keeps it. Its fields may be changed by hand and count at once. */
export interface ConnectedWorker extends PoolWorker {
  websocket: WebSocket;
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
  /** Several tokens, of which a worker must show one; instead of `authToken`, for changing tokens without a gap. */
  authTokens?: readonly string[];
  /**
   * Origins of the web pages that may open WebSockets, such as `"https://example.com"`; `"*"`: all pages. It rules workers
   * and endpoints, with and without a token; an upgrade whose `Origin` is not accepted gets 403. Programs send no `Origin`
   * and are always let in. Default: with a token all pages, since the token decides; without, pages of this machine
   * (loopback) and of the host that the request names; endpoints all pages.
   */
  allowedOrigins?: readonly string[] | "*";
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
  /** What a peer may cost. Default: see each limit. */
  limits?: WorkerServerLimits;
}

/**
 * Bounds on what a peer may cost; a higher number relaxes one, `Infinity` lifts it. What they refuse is counted in
 * `server.stats()` and logged once per cause.
 */
export interface WorkerServerLimits {
  /**
   * Largest message of a registered worker, in bytes. Default 100 MiB; beyond: close 1009. A message costs its size in
   * memory while it arrives, and as much again while it is parsed.
   */
  maxMessageBytes?: number;
  /**
   * Largest message before registration, in bytes. Default 1 MiB; beyond: close 1009. Whoever reaches the port can have
   * that much memory; raise it for registrations that are larger.
   */
  maxUnregisteredMessageBytes?: number;
  /**
   * Application messages that a connection may send before it registers; more are dropped. Default: 0 if there is a token,
   * else no limit. With more, handlers see messages of an "unknown" worker.
   */
  maxUnregisteredMessages?: number;
  /** Registrations with a wrong token, after which a connection is closed with 4001. Default 1. More are more guesses. */
  maxTokenAttempts?: number;
  /** Most fragments of one message. Default 16,384; beyond: close 1008. Each costs time without giving a message. */
  maxMessageFragments?: number;
  /**
   * Unsent bytes kept for one worker. Default 16 MiB; beyond, `send` returns false. An empty outbox takes any message.
   * Costs that much memory for each worker that does not read.
   */
  maxOutboxBytes?: number;
  /** Unsent bytes kept for all workers together. Default 512 MiB; beyond, `send` returns false. Costs that much memory. */
  maxTotalOutboxBytes?: number;
  /**
   * Bytes received from one worker that the event loop has not got to. Default 1 MiB; beyond, it is not read for a while,
   * and its silence is not held against it. Costs that much memory for each worker that floods.
   */
  maxBacklogBytes?: number;
  /**
   * The same of all connections together, not counting the first 16 KiB of each. Default 256 MiB; beyond, who has less than
   * 16 KiB waiting is still read and the others wait. Costs that much memory when the event loop is blocked or overloaded.
   */
  maxTotalBacklogBytes?: number;
  /**
   * Bytes of messages that have begun to arrive, of all connections together, not counting the first 16 KiB of each.
   * Default 256 MiB; beyond, the oldest one goes on and the others wait. What is in the way is given up with close 1013:
   * messages of connections that have not registered, and those that have been arriving for `writeTimeoutMs`. A message that
   * is alone may be larger. Costs that much memory when peers are slow to send, or stall.
   */
  maxTotalIncompleteBytes?: number;
  /**
   * Connections at once, of every kind. Default: no limit; beyond, new ones are closed at once. An idle worker costs 7 KiB
   * and a file descriptor, of which the system may allow fewer.
   */
  maxConnections?: number;
  /**
   * Largest request head of a worker, in bytes. Default 16 KiB; beyond, Node answers, and makes no worker of it. Costs that
   * much memory for each handshake.
   */
  maxRequestHeadBytes?: number;
  /** Most header lines of a worker's request. Default 2,000; beyond, Node answers, and makes no worker of it. */
  maxRequestHeaders?: number;
  /** Most models of a worker. Default 10,000; beyond: close 4002. They cost memory, and time at registration. */
  maxModels?: number;
  /** Longest worker id, in bytes. Default 1,024; beyond: close 4002. It stands in every log line about the worker. */
  maxIdBytes?: number;
  /** Longest worker name, in bytes. Default 1,024; beyond: close 4002. */
  maxNameBytes?: number;
  /** Deepest nesting of capabilities. Default 128; beyond: close 4002. What walks through deeper ones may overflow its stack. */
  maxDepth?: number;
  /** Milliseconds from the handshake to a registration. Default 10,000; then close 1008. Strangers hold sockets that long. */
  registrationTimeoutMs?: number;
  /** Milliseconds for a complete request head. Default 30,000; then 408. Strangers hold sockets that long. */
  requestHeadTimeoutMs?: number;
  /**
   * Milliseconds in which a peer must take something of what waits for it, and go on with a message of which 1 MiB has come.
   * Default 10,000; then it is dropped, or closed with 1008. What it has queued or sent is kept that long.
   */
  writeTimeoutMs?: number;
  /**
   * Milliseconds for the peer's half of the closing handshake. Default 2,000; then it is dropped. `onWorkerDisconnected` of
   * a frozen worker waits that long, or until the next health check.
   */
  closeTimeoutMs?: number;
  /**
   * Milliseconds of idleness after which TCP probes whether the peer is there, in whole seconds from 1,000 to 32,767,000.
   * Default 30,000. Costs a packet each time.
   */
  keepAliveMs?: number;
  /**
   * Milliseconds in which nothing was received, after which a connection is pinged; kept to a tenth. Default 30,000, at
   * least 10. After two pings in vain it is dropped, a registered worker not before it is silent for 3 x
   * `heartbeatTimeoutMs` and two health checks. Who is not silent costs nothing.
   */
  pingIntervalMs?: number;
  /**
   * Lines logged per minute about each thing that one worker does wrong again and again: messages that are invalid or that
   * nobody handles, heartbeats for others. Default 10; then one line says so, and the rest is only counted. Connections
   * that have not registered share theirs.
   */
  maxWarningsPerMinute?: number;
}

/** What a server has counted since it was made. */
export interface ServerStats {
  /** Open WebSocket connections of workers, registered or not. */
  connections: number;
  /** Requests in flight. */
  inFlight: number;
  /** Bytes queued for workers and not yet taken by the system. */
  outboxBytes: number;
  /** Bytes received that the event loop has not got to, not counting the first 16 KiB of each connection. */
  backlogBytes: number;
  /** Bytes of messages that have begun to arrive, not counting the first 16 KiB of each. */
  incompleteBytes: number;
  /** Milliseconds by which the event loop is late, measured twice a second. */
  eventLoopLagMs: number;
  /** TCP connections, of every kind. */
  connectionsAccepted: number;
  /** Connections closed at once because of `maxConnections`. */
  connectionsRefused: number;
  /** Upgrades refused because the web page's origin is not accepted. */
  originsRefused: number;
  /** Registrations refused for their token. */
  tokensRefused: number;
  /** Registrations refused for their content: invalid, or beyond a limit. */
  registrationsRefused: number;
  /** Connections closed because they did not register in time. */
  registrationTimeouts: number;
  /** Connections closed because their request head did not arrive in time. */
  requestHeadTimeouts: number;
  /** Connections dropped because they took nothing of what waited for them for too long. */
  writeTimeouts: number;
  /** Connections dropped because they did not answer pings. */
  pingTimeouts: number;
  /** Times that a connection was not read for a while because the event loop was behind; nothing is lost by that. */
  backlogPauses: number;
  /** Connections dropped because they did not answer a close frame in time. */
  closeTimeouts: number;
  /** Failed attempts of the system to accept a connection, as when file descriptors are exhausted. */
  acceptsFailed: number;
  /** Connections failed for a violation of the WebSocket protocol. */
  protocolErrors: number;
  /** Connections failed for a message that was too large. */
  messagesTooLarge: number;
  /** Connections failed for a message of too many fragments. */
  messagesTooFragmented: number;
  /** Connections failed for a message of 1 MiB or more that did not go on arriving. */
  messageTimeouts: number;
  /** Times that a connection was not read for a while because of `maxTotalIncompleteBytes`; nothing is lost by that. */
  messagePauses: number;
  /** Connections failed for a message that was in the way of others when `maxTotalIncompleteBytes` was exceeded. */
  messagesGivenUp: number;
  /** Messages that are no JSON or have no type. */
  messagesInvalid: number;
  /** Messages of types without a handler. */
  messagesUnhandled: number;
  /** Messages of connections that had not registered and should have. */
  messagesDropped: number;
  /** Heartbeats for an id that is not bound to their connection. */
  heartbeatsRefused: number;
  /** Sends refused because an outbox was full. */
  sendsRefused: number;
  /** Bytes of those, and of what was queued for connections that ended. */
  bytesDropped: number;
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

/**
 * Takes a WebSocket that was opened at an endpoint's path, and the request that opened it. The request is always there; its
 * type is a rest parameter so that the type is assignable to and from that of handlers with one parameter.
 */
export type WebSocketConnectionHandler = (ws: WebSocket, ...request: IncomingMessage[]) => void;
