import { randomUUID } from "node:crypto";
import { Application, parseMessage, type TypedMessage } from "./application.js";
import { type CloseReason, REPLACED } from "./close-reasons.js";
import { settlementOf, type SettlementFactory } from "./dispatch/settlement.js";
import { errorMessage, Logger } from "./logger.js";
import { PeerLog } from "./peer-log.js";
import { invalidRegistration } from "./registration.js";
import { safeCompare } from "./safe-compare.js";
import { closeSocket, CLOSING, sendText, textOf } from "./sockets.js";
import type {
  ConnectedWorker,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
  WorkerServerLogger,
  WorkerServerOptions,
  WorkerSocket,
} from "./types.js";
import { toWorkerInfo, unknownWorkerInfo } from "./worker-info.js";
import type { WorkerPool } from "./worker-pool.js";
import { WorkerStatus } from "./worker-status.js";

/** The options of a server, of which a {@link ConnectionHandler} uses the token, the heartbeat timeout and the heartbeat interval. */
export type ConnectionHandlerConfig = Partial<WorkerServerOptions>;

/** A socket of the `ws` package, or an `EventEmitter` that behaves like one. */
export interface WorkerConnection extends WorkerSocket {
  // Listeners of each event have arguments of their own.
  on(event: "message" | "close" | "error", listener: (...args: any[]) => void): unknown;
}

export type { SettlementFactory };

/** The part of a {@link WorkerPool} that a handler needs. */
type Pool = Pick<WorkerPool, "add" | "get" | "remove" | "releaseRequest">;

const DEFAULT_HEARTBEAT_TIMEOUT_MS = 60_000;
const DEFAULT_HEARTBEAT_INTERVAL_MS = 15_000;
/** The last moment that is written with a year of four digits. */
const LAST_DEADLINE_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
/** How a connection loses its worker id to another connection, or to another id. */

/** What is known of a socket. */
interface Connection {
  readonly socket: WorkerSocket;
  /** The id that it speaks for. */
  workerId: string | undefined;
  /** It was told to go: nothing more that it sends is looked at. */
  isRefused: boolean;
  hasLostMessages: boolean;
  readonly log: PeerLog;
}

/**
 * Speaks the workers' protocol over sockets that the application accepts itself, and keeps their workers in a
 * {@link WorkerPool}. A {@link WorkerServer} does this by itself, natively; silent workers are marked by the pool's
 * `checkHealth`, which the application calls when it wants to. Its sockets have no other deadlines or bounds than those
 * the application gives them: one that never registers stays.
 *
 * @example
 * const pool = new WorkerPool();
 * const handler = new ConnectionHandler(pool, { authToken: "secret", heartbeatTimeoutMs: 60_000 });
 * handler.onMessage("work_complete", (worker, message) => pool.releaseRequest(message.requestId));
 * new WebSocketServer({ port: 19101 }).on("connection", (ws) => handler.handleConnection(ws));
 */
export class ConnectionHandler {
  readonly #pool: Pool;
  readonly #config: ConnectionHandlerConfig;
  readonly #logger: Logger;
  readonly #application: Application;
  readonly #connections = new WeakMap<object, Connection>();

  constructor(pool: Pool, config: ConnectionHandlerConfig, logger?: WorkerServerLogger);
  /** With a factory, that makes the `complete` and `fail` of messages instead of the pool. */
  constructor(
    pool: Pool,
    config: ConnectionHandlerConfig,
    settlementFactory: SettlementFactory,
    logger?: WorkerServerLogger,
  );
  constructor(
    pool: Pool,
    config: ConnectionHandlerConfig,
    third?: WorkerServerLogger | SettlementFactory,
    fourth?: WorkerServerLogger,
  ) {
    this.#pool = pool;
    this.#config = config;
    const release = (requestId: string, incrementCompleted: boolean): void =>
      pool.releaseRequest(requestId, { incrementCompleted });
    const settle = typeof third === "function" ? third : (id: string | null) => settlementOf(id, release);
    const logger = typeof third === "function" ? fourth : third;
    this.#logger = new Logger(logger, config.limits?.maxWarningsPerMinute);
    this.#application = new Application(this.#logger, settle);
  }

  /** Serves a socket from now on. */
  handleConnection(socket: WorkerConnection): void {
    this.#logger.debug("New WebSocket connection from potential worker");
    socket.on("message", (data) => this.handleMessage(socket, data));
    socket.on("close", (code, reason) => this.handleDisconnect(socket, code, reason));
    socket.on("error", (error) => {
      this.#logger.error("Worker WebSocket error", { error: errorMessage(error) });
    });
  }

  /** Calls `handler` for each message of that type; what it throws is logged. Returns the function that ends this. */
  onMessage<T = any>(type: string, handler: WorkerMessageHandler<T>): () => void {
    return this.#application.onMessage(type, handler);
  }

  /** Calls `handler` for each worker that registers; returns the function that ends this. */
  onWorkerConnected(handler: WorkerConnectedHandler): () => void {
    return this.#application.connected.add(handler);
  }

  /**
   * Calls `handler` for each worker that disconnects, with the ids of its requests in flight. Not called for a worker
   * that was replaced by a new connection and had no requests in flight.
   */
  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void {
    return this.#application.disconnected.add(handler);
  }

  // Private by its type only, as the next one: existing tests call them at run time.
  private handleMessage(socket: WorkerSocket, data: unknown): void {
    const connection = this.#connectionOf(socket);
    if (connection.isRefused) return;
    const message = parseMessage(textOf(data));
    if (typeof message !== "string") {
      if (message.type === "worker_registration") return this.#register(connection, message);
      if (message.type === "heartbeat") return this.#beat(connection, message);
    }
    if (connection.workerId === undefined && this.#tokens.length > 0) return this.#drop(connection);
    const sender = { toInfo: () => this.#senderInfo(connection), log: connection.log };
    if (typeof message === "string") this.#application.reject(sender, message);
    else this.#application.deliver(sender, message);
  }

  private handleDisconnect(socket: WorkerSocket, code: number, reason: unknown): void {
    const connection = this.#connectionOf(socket);
    const closing = { code, reason: textOf(reason ?? "") };
    if (connection.workerId === undefined) {
      this.#logger.debug("Unregistered WebSocket connection closed", closing);
    } else {
      this.#release(connection, closing);
    }
  }

  get #tokens(): readonly string[] {
    const { authToken } = this.#config;
    return authToken === undefined ? [] : [authToken].flat();
  }

  #connectionOf(socket: WorkerSocket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      const log = new PeerLog(this.#logger);
      connection = { socket, workerId: undefined, isRefused: false, hasLostMessages: false, log };
      this.#connections.set(socket, connection);
    }
    return connection;
  }

  #register(connection: Connection, message: TypedMessage): void {
    const workerId = message.workerId as string;
    if (!this.#acceptsToken(message.authToken ?? "")) {
      this.#logger.warn("Worker registration rejected: invalid auth token", { workerId });
      return this.#refuse(connection, "Invalid authentication token", 4001, "Authentication failed");
    }
    const error = invalidRegistration(message);
    if (error !== undefined) {
      this.#logger.warn("Invalid registration message from worker", { workerId, error });
      return this.#refuse(connection, error, 4002, "Invalid registration");
    }
    if (connection.workerId !== undefined && connection.workerId !== workerId) {
      this.#release(connection, REPLACED);
    }
    const replaced = this.#pool.get(workerId);
    if (replaced !== undefined) this.#replace(workerId, replaced);
    this.#admit(connection, message);
  }

  #admit(connection: Connection, { workerId, workerName, capabilities }: TypedMessage): void {
    const now = new Date();
    const worker: ConnectedWorker = {
      id: workerId as string,
      name: workerName as string,
      websocket: connection.socket as ConnectedWorker["websocket"],
      capabilities: capabilities as ConnectedWorker["capabilities"],
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
    this.#pool.add(worker);
    connection.workerId = worker.id;
    answer(connection.socket, {
      type: "worker_registration_ack",
      success: true,
      sessionId: worker.sessionId,
      heartbeatIntervalMs: this.#config.heartbeatIntervalMs ?? DEFAULT_HEARTBEAT_INTERVAL_MS,
    });
    this.#application.workerEntered(toWorkerInfo(worker));
  }

  /** Whether a token is one of those that are asked for; whatever is no string is a wrong one. */
  #acceptsToken(token: unknown): boolean {
    const tokens = this.#tokens;
    return tokens.length === 0 || tokens.some((wanted) => safeCompare(token as string, wanted));
  }

  #refuse(connection: Connection, error: string, code: number, reason: string): void {
    connection.isRefused = true;
    answer(connection.socket, { type: "worker_registration_ack", success: false, error });
    closeSocket(connection.socket, { code, reason });
  }

  #replace(workerId: string, old: ConnectedWorker): void {
    this.#logger.debug("Replacing existing worker connection", { workerId });
    const connection = this.#connections.get(old.websocket);
    if (connection?.workerId === workerId) connection.workerId = undefined;
    closeSocket(old.websocket, REPLACED);
    this.#application.workerReplaced(toWorkerInfo(old));
    // A handler may have done so already, and may have added another one.
    if (this.#pool.get(workerId) === old) this.#pool.remove(workerId);
  }

  /** Takes from a connection the worker it speaks for. */
  #release(connection: Connection, { code, reason }: CloseReason): void {
    const workerId = connection.workerId!;
    connection.workerId = undefined;
    const worker = this.#pool.get(workerId);
    if (worker === undefined) return;
    this.#application.workerLeft(toWorkerInfo(worker), code, reason, () => this.#pool.remove(workerId));
  }

  #beat(connection: Connection, { workerId, timestamp }: TypedMessage): void {
    const worker = this.#pool.get(workerId as string);
    if (worker === undefined || !this.#mayBeatFor(connection, workerId, worker)) {
      return connection.log.warn("Heartbeat from unknown worker", { workerId });
    }
    const now = new Date();
    worker.lastHeartbeat = now;
    if (worker.status === WorkerStatus.Unhealthy) {
      const isFull = worker.activeRequests >= worker.capabilities.maxConcurrentRequests;
      worker.status = isFull ? WorkerStatus.Busy : WorkerStatus.Available;
    }
    const timeout = this.#config.heartbeatTimeoutMs ?? DEFAULT_HEARTBEAT_TIMEOUT_MS;
    const deadline = new Date(Math.min(now.getTime() + timeout, LAST_DEADLINE_MS));
    answer(connection.socket, {
      type: "heartbeat_ack",
      timestamp,
      nextHeartbeatDeadline: deadline.toISOString(),
    });
  }

  /** For its own worker; without a token also for one that no connection speaks for, because it was added by hand. */
  #mayBeatFor(connection: Connection, workerId: unknown, worker: ConnectedWorker): boolean {
    if (connection.workerId === workerId) return true;
    const isSpokenFor = this.#connections.get(worker.websocket)?.workerId === workerId;
    return !isSpokenFor && this.#tokens.length === 0;
  }

  #drop(connection: Connection): void {
    if (connection.hasLostMessages) return;
    connection.hasLostMessages = true;
    this.#logger.warn("Message from unregistered worker dropped");
  }

  #senderInfo({ workerId }: Connection): WorkerInfo {
    const worker = workerId === undefined ? undefined : this.#pool.get(workerId);
    return worker === undefined ? unknownWorkerInfo(workerId) : toWorkerInfo(worker);
  }
}

function answer(socket: WorkerSocket, message: object): void {
  if (!(socket.readyState >= CLOSING)) sendText(socket, JSON.stringify(message));
}
