import { createHash, randomUUID, timingSafeEqual } from "node:crypto";

/** One socket: registration, heartbeats, and what else the worker sends. */
export class WorkerConnection {
  #socket;
  #home;
  /** Once it has registered, until another connection takes its id. */
  #worker;

  /** `home` is what the server lends: pool, options, and whom to tell. */
  constructor(socket, home) {
    this.#socket = socket;
    this.#home = home;
  }

  listen() {
    this.#socket.on("message", (data) => this.#receive(data));
    this.#socket.on("close", () => this.#closed());
    this.#socket.on("error", (error) => console.error("socket error:", error.message));
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data.toString());
    } catch {
      return;
    }
    switch (message?.type) {
      case undefined:
        return;
      case "worker_registration":
        return this.#register(message);
      case "heartbeat":
        return this.#heartbeat(message);
      default:
        if (this.#worker !== undefined) this.#home.onMessage(this.#worker, message);
    }
  }

  #register({ workerId, workerName, capabilities, authToken }) {
    const { pool, options, onConnected } = this.#home;
    if (options.authToken !== undefined && !isSame(authToken ?? "", options.authToken)) {
      this.#send({ type: "worker_registration_ack", success: false, error: "Invalid authentication token" });
      this.#socket.close(4001, "Authentication failed");
      return;
    }
    const previous = pool.get(workerId);
    if (previous !== undefined) {
      pool.remove(workerId);
      previous.socket.close(4003, "Replaced by new connection");
    }
    const now = new Date();
    this.#worker = {
      id: workerId,
      name: workerName,
      status: "available",
      socket: this.#socket,
      capabilities,
      sessionId: randomUUID(),
      connectedAt: now,
      lastHeartbeat: now,
      active: 0,
      completed: 0,
      pending: new Set(),
      /** The category of each pending request that has one. */
      categories: new Map(),
      activeByCategory: new Map(),
    };
    pool.add(this.#worker);
    this.#send({
      type: "worker_registration_ack",
      success: true,
      sessionId: this.#worker.sessionId,
      heartbeatIntervalMs: options.heartbeatIntervalMs,
    });
    onConnected(this.#worker);
  }

  #heartbeat({ workerId, timestamp }) {
    const { pool, options } = this.#home;
    const worker = pool.get(workerId);
    if (worker === undefined) return;
    const now = new Date();
    worker.lastHeartbeat = now;
    if (worker.status === "unhealthy") pool.recover(worker);
    const nextHeartbeatDeadline = new Date(now.getTime() + options.heartbeatTimeoutMs).toISOString();
    this.#send({ type: "heartbeat_ack", timestamp, nextHeartbeatDeadline });
  }

  #closed() {
    const worker = this.#worker;
    const { pool, onDisconnected } = this.#home;
    if (worker === undefined || pool.get(worker.id) !== worker) return;
    pool.remove(worker.id);
    onDisconnected(worker);
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }
}

/** Digests are of one length, so the comparison tells nothing of the token. */
function isSame(given, expected) {
  const digest = (text) => createHash("sha256").update(String(text)).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
