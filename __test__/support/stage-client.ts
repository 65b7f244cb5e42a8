import { once } from "node:events";
import type { Socket } from "node:net";
import { WebSocket } from "ws";

/** A WebSocket on a {@link Stage}, which keeps what it saw. */
export class StageClient {
  readonly closed: Promise<void>;
  /** The id it has registered with and not lost since. */
  workerId: unknown;
  /** It was a worker's when the server was stopped, which says nothing of its end. */
  endsSilently = false;
  #seen: string[] = [];
  #isOpen = true;

  private constructor(
    readonly name: string,
    readonly socket: WebSocket,
    readonly isWorker: boolean,
  ) {
    socket.on("message", (data: Buffer, isBinary) => {
      this.#seen.push(`${name} got ${isBinary ? data.toString("hex") : data.toString()}`);
    });
    // What a socket complains about shows in how it ends.
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        this.#seen.push(`${name} was closed ${code} ${JSON.stringify(reason.toString())}`);
        this.#isOpen = false;
        resolve();
      });
    });
  }

  static async open(name: string, url: string, isWorker: boolean): Promise<StageClient> {
    const socket = new WebSocket(url);
    const client = new StageClient(name, socket, isWorker);
    await once(socket, "open");
    return client;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the server has to say that it ended. */
  get endIsLogged(): boolean {
    return !this.#isOpen && this.isWorker && !this.endsSilently;
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  sendText(text: string | Buffer): void {
    this.socket.send(text);
  }

  beat(workerId: unknown, fields: Record<string, unknown> = { timestamp: "now" }): void {
    this.send({ type: "heartbeat", workerId, ...fields });
  }

  /** Puts bytes on the wire past the framing. */
  sendRaw(bytes: Buffer): void {
    (this.socket as unknown as { _socket: Socket })._socket.write(bytes);
  }

  /** Returns when all frames that the server sent before have come. */
  async ping(): Promise<void> {
    if (this.socket.readyState !== WebSocket.OPEN) return this.closed;
    const answered = new Promise((resolve) => this.socket.once("pong", resolve));
    this.socket.ping();
    await answered;
  }

  /** What it saw since this was asked the last time. */
  takeSeen(): string[] {
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }
}
