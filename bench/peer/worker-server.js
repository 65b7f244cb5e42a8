import http from "node:http";
import { WebSocketServer } from "ws";
import { Handlers } from "./handlers.js";
import { answerRequest } from "./http-handlers.js";
import { WorkerConnection } from "./worker-connection.js";
import { WorkerPool, toInfo } from "./worker-pool.js";

/** Presumed dead after so many heartbeat timeouts. */
const DEAD_AFTER = 3;

export class WorkerServer {
  #options;
  #pool = new WorkerPool();
  #httpHandlers = [];
  #connected = new Handlers();
  #disconnected = new Handlers();
  /** Handlers by the type of the message. */
  #messages = new Map();
  #http;
  #healthCheck;

  constructor(options) {
    this.#options = {
      heartbeatTimeoutMs: 60_000,
      healthCheckIntervalMs: 10_000,
      heartbeatIntervalMs: 15_000,
      ...options,
    };
  }

  async start() {
    const { port, healthCheckIntervalMs } = this.#options;
    this.#http = http.createServer((req, res) => this.#answer(req, res));
    const sockets = new WebSocketServer({ server: this.#http });
    sockets.on("connection", (socket) => this.#accept(socket));
    this.#healthCheck = setInterval(() => this.#checkHealth(), healthCheckIntervalMs);
    await new Promise((resolve, reject) => {
      this.#http.once("error", reject);
      this.#http.listen(port, resolve);
    });
  }

  async stop() {
    clearInterval(this.#healthCheck);
    for (const worker of this.#pool.values()) worker.socket.close(1001, "Server shutting down");
    this.#pool.clear();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  onWorkerConnected(handler) {
    return this.#connected.add(handler);
  }

  onWorkerDisconnected(handler) {
    return this.#disconnected.add(handler);
  }

  onWorkerMessage(type, handler) {
    let handlers = this.#messages.get(type);
    if (handlers === undefined) this.#messages.set(type, (handlers = new Handlers()));
    return handlers.add(handler);
  }

  addHttpHandler(handler) {
    this.#httpHandlers.push(handler);
  }

  send(workerId, message) {
    const socket = this.#pool.get(workerId)?.socket;
    if (socket?.readyState !== socket?.OPEN) return false;
    try {
      socket.send(JSON.stringify(message));
      return true;
    } catch {
      return false;
    }
  }

  broadcast(message) {
    const text = JSON.stringify(message);
    for (const { socket } of this.#pool.values()) {
      if (socket.readyState === socket.OPEN) socket.send(text);
    }
  }

  getAvailableWorker(model, category) {
    const worker = this.#pool.select(model, category);
    return worker === null ? null : toInfo(worker);
  }

  getAnyAvailableWorker() {
    const worker = this.#pool.selectAny();
    return worker === null ? null : toInfo(worker);
  }

  getAvailableSlotCount(model, category) {
    return this.#pool.freeSlots(model, category);
  }

  getWorkerCount() {
    return this.#pool.size;
  }

  getAvailableWorkerCount() {
    return this.#pool.availableCount();
  }

  getWorkerInfo() {
    return Array.from(this.#pool.values(), toInfo);
  }

  trackRequest(workerId, requestId, category) {
    this.#pool.track(workerId, requestId, category);
  }

  releaseRequest(requestId, options) {
    this.#pool.release(requestId, options?.incrementCompleted === true);
  }

  #accept(socket) {
    const connection = new WorkerConnection(socket, {
      pool: this.#pool,
      options: this.#options,
      onConnected: (worker) => this.#connected.call(toInfo(worker)),
      onDisconnected: (worker) => this.#disconnected.call(toInfo(worker), new Set(worker.pending)),
      onMessage: (worker, message) => this.#messages.get(message.type)?.call(toInfo(worker), message),
    });
    connection.listen();
  }

  #answer(req, res) {
    if (req.url === this.#options.healthPath) {
      const { size } = this.#pool;
      const body = { status: "ok", workers: size, available: this.#pool.availableCount() };
      res.writeHead(200, { "Content-Type": "application/json" });
      res.end(JSON.stringify(body));
      return;
    }
    void answerRequest(this.#httpHandlers, req, res);
  }

  #checkHealth() {
    const now = Date.now();
    const timeout = this.#options.heartbeatTimeoutMs;
    for (const worker of this.#pool.values()) {
      const age = now - worker.lastHeartbeat.getTime();
      if (age > timeout) worker.status = "unhealthy";
      if (age > timeout * DEAD_AFTER) worker.socket.close(4003, "Heartbeat timeout");
    }
  }
}
