import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as passed } from "node:timers/promises";
import { type WebSocket, WebSocketServer } from "ws";
import {
  type PoolWorker,
  type HttpRequestHandler,
  type StopOptions,
  type WebSocketConnectionHandler,
  type WorkerConnectedHandler,
  type WorkerDisconnectedHandler,
  type WorkerInfo,
  type WorkerMessageHandler,
  type WorkerServer,
  type WorkerServerLogger,
  type WorkerServerOptions,
  toWorkerInfo,
} from "../../index.js";
import { invalidRegistration } from "../../dist/registration.js";
import { ReferencePool, connectedWorker, unknownInfo } from "./reference-pool";
import { isValidRegistration } from "./reference-validation";

/** What the package and the model of it have in common. */
export type ServerApi = Pick<
  WorkerServer,
  | "port"
  | "start"
  | "stop"
  | `onWorker${"Connected" | "Disconnected" | "Message"}`
  | "send"
  | "broadcast"
  | `getAvailable${"Worker" | "WorkerCount" | "SlotCount"}`
  | "getAnyAvailableWorker"
  | "getWorkerCount"
  | "getWorkerInfo"
  | "trackRequest"
  | "releaseRequest"
  | "addHttpHandler"
  | "addWebSocketEndpoint"
>;

/** What the model knows of a worker's connection. */
interface Peer {
  readonly socket: WebSocket;
  worker: PoolWorker | undefined;
  /** We have ended it for what it sent: nothing more of it is looked at. */
  refused: boolean;
  droppedOne: boolean;
}

/**
 * The specification, sections 2 to 12, as a small honest server on `node:http` and `ws`, with the hardenings that
 * docs/migrating.md lists. It is there to be compared with: it shares nothing with the package but `toWorkerInfo`, the
 * names of the states and the words of refusals, and has neither limits of size nor deadlines.
 */
export class ReferenceServer implements ServerApi {
  readonly #options: WorkerServerOptions;
  readonly #pool = new ReferencePool();
  readonly #peers = new Set<Peer>();
  readonly #connected = new Set<WorkerConnectedHandler>();
  readonly #disconnected = new Set<WorkerDisconnectedHandler>();
  readonly #messageHandlers = new Map<string, Set<WorkerMessageHandler>>();
  readonly #httpHandlers: HttpRequestHandler[] = [];
  readonly #endpoints = new Map<string, WebSocketConnectionHandler>();
  readonly #endpointSockets = new Set<WebSocket>();
  #server: Server | undefined;
  #isRunning = false;
  #stopping: Promise<void> | undefined;
  #healthTimer: ReturnType<typeof setInterval> | undefined;
  #boundPort: number | undefined;

  constructor(options: WorkerServerOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#boundPort ?? this.#options.port;
  }

  async start(): Promise<void> {
    if (this.#isRunning || this.#stopping !== undefined) throw new Error("WorkerServer is already running");
    this.#isRunning = true;
    const server = createServer((request, response) => void this.#serve(request, response));
    const upgrades = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      upgrades.handleUpgrade(request, socket, head, (accepted) => {
        const endpoint = this.#endpoints.get(request.url ?? "");
        if (endpoint === undefined) this.#accept(accepted);
        else this.#openEndpoint(endpoint, accepted);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => {
        this.#log("error", "HTTP server error", { error: error.message });
        reject(error);
      });
      server.listen(this.#options.port, resolve);
    });
    this.#server = server;
    this.#boundPort = (server.address() as AddressInfo).port;
    const intervalMs = this.#options.healthCheckIntervalMs ?? 10_000;
    this.#healthTimer = setInterval(() => this.#checkHealth(), intervalMs);
    this.#log("debug", "HTTP + WebSocket server started", { port: this.port });
  }

  async stop(options?: StopOptions): Promise<void> {
    if (!this.#isRunning && this.#stopping === undefined) return;
    this.#isRunning = false;
    this.#stopping ??= this.#shutDown(options?.timeoutMs ?? 5_000);
    await this.#stopping;
    this.#stopping = undefined;
    this.#log("debug", "HTTP + WebSocket server stopped");
  }

  async #shutDown(graceMs: number): Promise<void> {
    clearInterval(this.#healthTimer);
    for (const { socket } of this.#peers) socket.close(1001, "Server shutting down");
    this.#pool.workers.clear();
    for (const socket of this.#endpointSockets) socket.close(1001, "Server shutting down");
    this.#endpoints.clear();
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    const graceIsOver = new AbortController();
    const drop = async (): Promise<void> => {
      await passed(graceMs, undefined, { signal: graceIsOver.signal });
      for (const { socket } of this.#peers) socket.terminate();
      for (const socket of this.#endpointSockets) socket.terminate();
      server.closeAllConnections();
    };
    const dropped = drop().catch(() => {});
    await closed;
    graceIsOver.abort();
    await dropped;
    // TCP has ended; `ws` may have yet to say so.
    await Promise.all([...this.#peers].map(({ socket }) => once(socket, "close")));
  }

  onWorkerConnected(handler: WorkerConnectedHandler): () => void {
    return subscribe(this.#connected, handler);
  }

  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void {
    return subscribe(this.#disconnected, handler);
  }

  onWorkerMessage<T = any>(type: string, handler: WorkerMessageHandler<T>): () => void {
    let handlers = this.#messageHandlers.get(type);
    if (handlers === undefined) this.#messageHandlers.set(type, (handlers = new Set()));
    return subscribe(handlers, handler);
  }

  send(workerId: string, message: unknown): boolean {
    const worker = this.#pool.workers.get(workerId);
    if (worker === undefined || worker.websocket.readyState !== 1) return false;
    try {
      worker.websocket.send(JSON.stringify(message) ?? "");
      return true;
    } catch {
      return false;
    }
  }

  broadcast(message: unknown): void {
    const text = JSON.stringify(message) ?? "";
    for (const { websocket } of this.#pool.workers.values()) {
      if (websocket.readyState === 1) websocket.send(text);
    }
  }

  getAvailableWorker(model: string, category?: string): WorkerInfo | null {
    const worker = this.#pool.getAvailableWorker(model, category);
    return worker && toWorkerInfo(worker);
  }

  getAnyAvailableWorker(): WorkerInfo | null {
    const worker = this.#pool.getAnyAvailableWorker();
    return worker && toWorkerInfo(worker);
  }

  getAvailableSlotCount(model: string, category?: string): number {
    return this.#pool.getAvailableSlotCount(model, category);
  }

  getWorkerCount(): number {
    return this.#pool.workers.size;
  }

  getAvailableWorkerCount(): number {
    return this.#pool.getAvailableCount();
  }

  getWorkerInfo(): WorkerInfo[] {
    return [...this.#pool.workers.values()].map(toWorkerInfo);
  }

  trackRequest(workerId: string, requestId: string, category?: string): void {
    this.#pool.trackRequest(workerId, requestId, category);
  }

  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void {
    this.#pool.releaseRequest(requestId, options);
  }

  addHttpHandler(handler: HttpRequestHandler): void {
    this.#httpHandlers.push(handler);
  }

  addWebSocketEndpoint(path: string, handler: WebSocketConnectionHandler): void {
    this.#endpoints.set(path, handler);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const handler of this.#httpHandlers) {
      try {
        if (await handler(request, response)) return;
      } catch (thrown) {
        this.#log("error", "HTTP handler error", { error: textOf(thrown), url: request.url });
      }
    }
    if (response.headersSent) return;
    response.writeHead(404, { "Content-Type": "application/json" });
    response.end('{"error":"Not found"}');
  }

  #openEndpoint(endpoint: WebSocketConnectionHandler, socket: WebSocket): void {
    this.#endpointSockets.add(socket);
    socket.on("close", () => this.#endpointSockets.delete(socket));
    endpoint(socket);
  }

  #accept(socket: WebSocket): void {
    const peer: Peer = { socket, worker: undefined, refused: false, droppedOne: false };
    this.#peers.add(peer);
    this.#log("debug", "New WebSocket connection from potential worker");
    socket.on("message", (data: Buffer) => this.#receive(peer, data.toString()));
    socket.on("error", (error) => this.#log("error", "Worker WebSocket error", { error: error.message }));
    socket.on("close", (code, reason) => this.#closed(peer, code, reason.toString()));
  }

  #receive(peer: Peer, text: string): void {
    if (peer.refused) return;
    let message: any;
    let isJson = true;
    try {
      message = JSON.parse(text);
    } catch {
      isJson = false;
    }
    const type: unknown = message?.type;
    if (type === "worker_registration") return this.#register(peer, message);
    if (type === "heartbeat") return this.#heartbeat(peer, message);
    if (peer.worker === undefined && this.#options.authToken !== undefined) {
      if (!peer.droppedOne) this.#log("warn", "Message from unregistered worker dropped");
      peer.droppedOne = true;
      return;
    }
    if (!isJson) return this.#log("warn", "Invalid JSON message from worker");
    if (typeof type !== "string") return this.#log("warn", "Message missing type field");
    const handlers = this.#messageHandlers.get(type);
    if (!handlers?.size) return this.#log("warn", "Unhandled message type from worker", { type });
    const info = peer.worker ? toWorkerInfo(peer.worker) : unknownInfo();
    this.#callAll(handlers, [info, message], "Error in message handler", { type });
  }

  #register(peer: Peer, message: any): void {
    const { workerId, workerName } = message;
    if (!this.#isTokenRight(message.authToken)) {
      this.#log("warn", "Worker registration rejected: invalid auth token", { workerId });
      return refuse(peer, "Invalid authentication token", 4001, "Authentication failed");
    }
    if (!isValidRegistration(message)) {
      // In the words of the package, which the tests of registrations hold.
      const error = invalidRegistration(message);
      this.#log("warn", "Invalid registration message from worker", { workerId, error });
      return refuse(peer, error ?? "accepted by the package", 4002, "Invalid registration");
    }
    if (peer.worker !== undefined && peer.worker.id !== workerId) {
      this.#disconnect(peer.worker, 4003, "Replaced by new connection");
    }
    this.#replace(workerId);
    const worker = connectedWorker(message, peer.socket);
    this.#pool.add(worker);
    peer.worker = worker;
    const heartbeatIntervalMs = this.#options.heartbeatIntervalMs ?? 15_000;
    const ack = { success: true, sessionId: worker.sessionId, heartbeatIntervalMs };
    if (peer.socket.readyState === 1) {
      peer.socket.send(JSON.stringify({ type: "worker_registration_ack", ...ack }));
    }
    const models = worker.capabilities.models.map(({ modelId }) => modelId);
    const { maxConcurrentRequests } = worker.capabilities;
    this.#log("debug", "Worker registered", { workerId, workerName, models, maxConcurrentRequests });
    this.#callAll(this.#connected, [toWorkerInfo(worker)], "Error in connected handler");
  }

  #isTokenRight(presented: unknown): boolean {
    const { authToken } = this.#options;
    return authToken === undefined || (presented ?? "") === authToken;
  }

  #replace(workerId: unknown): void {
    const old = this.#pool.workers.get(workerId);
    if (old === undefined) return;
    this.#log("debug", "Replacing existing worker connection", { workerId });
    for (const peer of this.#peers) {
      if (peer.worker === old) peer.worker = undefined;
    }
    old.websocket.close(4003, "Replaced by new connection");
    const { pendingRequests } = old;
    if (pendingRequests.size > 0) {
      this.#log("warn", "Replaced worker had pending requests", { workerId, count: pendingRequests.size });
      this.#tellDisconnected(old, pendingRequests);
    }
    this.#pool.workers.delete(workerId);
  }

  #heartbeat(peer: Peer, message: any): void {
    const { worker } = peer;
    const { workerId, timestamp } = message;
    if (worker === undefined || worker.id !== workerId) {
      return this.#log("warn", "Heartbeat from unknown worker", { workerId });
    }
    this.#pool.heartbeat(worker);
    if (peer.socket.readyState !== 1) return;
    const timeoutMs = this.#options.heartbeatTimeoutMs ?? 60_000;
    const nextHeartbeatDeadline = new Date(Date.now() + timeoutMs).toISOString();
    peer.socket.send(JSON.stringify({ type: "heartbeat_ack", timestamp, nextHeartbeatDeadline }));
  }

  #checkHealth(): void {
    const threshold = this.#options.heartbeatTimeoutMs ?? 60_000;
    const dead = this.#pool.checkHealth(threshold, ({ id: workerId }, timeSinceHeartbeat) => {
      this.#log("warn", "Worker heartbeat timeout", { workerId, timeSinceHeartbeat, threshold });
    });
    for (const { id: workerId, websocket } of dead) {
      this.#log("warn", "Worker connection presumed dead, closing", { workerId });
      websocket.close(4003, "Heartbeat timeout");
    }
  }

  #closed(peer: Peer, code: number, reason: string): void {
    this.#peers.delete(peer);
    const { worker } = peer;
    if (worker === undefined) {
      this.#log("debug", "Unregistered WebSocket connection closed", { code, reason });
    } else if (this.#pool.workers.get(worker.id) === worker) {
      this.#disconnect(worker, code, reason);
    }
  }

  #disconnect(worker: PoolWorker, code: number, reason: string): void {
    const workerId = worker.id;
    const pending = new Set(worker.pendingRequests);
    const context = { workerId, count: pending.size };
    if (pending.size > 0) this.#log("warn", "Worker disconnected with pending requests", context);
    this.#pool.workers.delete(workerId);
    this.#log("debug", "Worker disconnected", { workerId, code, reason });
    this.#tellDisconnected(worker, pending);
  }

  #tellDisconnected(worker: PoolWorker, pending: ReadonlySet<string>): void {
    this.#callAll(this.#disconnected, [toWorkerInfo(worker), pending], "Error in disconnected handler");
  }

  #callAll<A extends unknown[]>(
    handlers: Set<(...args: A) => void>,
    args: A,
    message: string,
    context = {},
  ): void {
    for (const handler of handlers) {
      try {
        handler(...args);
      } catch (thrown) {
        this.#log("error", message, { ...context, error: textOf(thrown) });
      }
    }
  }

  #log(level: keyof WorkerServerLogger, message: string, context?: Record<string, unknown>): void {
    if (context === undefined) this.#options.logger?.[level](message);
    else this.#options.logger?.[level](message, context);
  }
}

function subscribe<H>(handlers: Set<H>, handler: H): () => void {
  handlers.add(handler);
  return () => void handlers.delete(handler);
}

function refuse(peer: Peer, error: string, code: number, reason: string): void {
  peer.refused = true;
  peer.socket.send(JSON.stringify({ type: "worker_registration_ack", success: false, error }));
  peer.socket.close(code, reason);
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
