import { once } from "node:events";
import { WebSocket } from "ws";

/** A registration as a worker would send it; every field can be replaced or, with `undefined`, left out. */
export function registration(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: "worker_registration",
    workerId: "worker-1",
    workerName: "Worker One",
    capabilities: capabilities(),
    ...overrides,
  };
}

export function capabilities(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    models: [model("sonnet-3.5")],
    maxConcurrentRequests: 4,
    ...overrides,
  };
}

export function model(modelId: string): Record<string, unknown> {
  return {
    modelId,
    displayName: modelId.toUpperCase(),
    maxContextTokens: 200_000,
    maxOutputTokens: 8_192,
    supportsStreaming: true,
  };
}

/** A real WebSocket client that keeps what it received in order, so a test never misses a frame. */
export class TestWorker {
  readonly closed: Promise<{ code: number; reason: string }>;
  static readonly #all = new Set<TestWorker>();
  readonly #received: string[] = [];
  readonly #waiting: ((text: string) => void)[] = [];

  private constructor(readonly socket: WebSocket) {
    TestWorker.#all.add(this);
    this.closed = new Promise((resolve) => {
      socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    // A refused or cut connection shows in `closed`; without a listener it would end the test process.
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      const waiting = this.#waiting.shift();
      if (waiting) waiting(text);
      else this.#received.push(text);
    });
  }

  /** Opens a socket and does the handshake, nothing more. */
  static async connect(port: number, path = "/ws", protocols: string[] = []): Promise<TestWorker> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
    const worker = new TestWorker(socket);
    await once(socket, "open");
    return worker;
  }

  /** Cuts every socket that a test left open. */
  static dropAll(): void {
    for (const worker of TestWorker.#all) worker.socket.terminate();
    TestWorker.#all.clear();
  }

  /** Opens a socket, registers and waits for the positive acknowledgement. */
  static async register(
    port: number,
    overrides: Record<string, unknown> = {},
    protocols: string[] = [],
  ): Promise<TestWorker & { ack: any }> {
    const worker = await TestWorker.connect(port, "/ws", protocols);
    worker.send(registration(overrides));
    const ack = await worker.next();
    if (ack.success !== true) throw new Error(`registration refused: ${JSON.stringify(ack)}`);
    return Object.assign(worker, { ack });
  }

  send(message: unknown): void {
    this.sendText(JSON.stringify(message));
  }

  sendText(text: string): void {
    this.socket.send(text);
  }

  /** The next text frame, parsed. */
  async next(): Promise<any> {
    return JSON.parse(await this.nextText());
  }

  /** The next text frame as it came. */
  nextText(): Promise<string> {
    const text = this.#received.shift();
    if (text !== undefined) return Promise.resolve(text);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Frames received and not yet taken. */
  get unread(): number {
    return this.#received.length;
  }

  /** Returns once everything sent before was handled by the server (an unknown heartbeat id is never answered, a known one is). */
  async roundTrip(workerId: unknown = "worker-1"): Promise<void> {
    const timestamp = `round-trip-${Math.random()}`;
    this.send({ type: "heartbeat", workerId, timestamp });
    for (;;) {
      const message = await this.next();
      if (message.type === "heartbeat_ack" && message.timestamp === timestamp) return;
    }
  }

  async close(code = 1000, reason = ""): Promise<void> {
    this.socket.close(code, reason);
    await this.closed;
  }

  /** Drops the TCP connection without a closing handshake. */
  async terminate(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}
