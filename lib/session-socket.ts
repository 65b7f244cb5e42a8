import { WebSocket } from "ws";
import type { CloseReason } from "./close-reasons.js";
import { binding } from "./native.js";

/** Opcodes of RFC 6455 section 5.2, as events tell them and frames are sent with. */
const enum Opcode {
  Continuation = 0,
  Text = 1,
  Binary = 2,
  Ping = 9,
  Pong = 10,
}

const FINAL = 0x80;
const LONGEST_CONTROL_BYTES = 125;
const LONGEST_REASON_BYTES = LONGEST_CONTROL_BYTES - 2;
const NO_BYTES = Buffer.alloc(0);

/** Events for which the native side has to tell of every frame. */
const FRAME_EVENTS = ["message", "ping", "pong"];

/** What can be sent: text, or bytes in one of their forms. */
type Data = Parameters<WebSocket["send"]>[0] | null | undefined;
type Done = (error?: Error) => void;
/** As the types of `ws` have it; without an error it is called without an argument there, too. */
type ControlDone = (error: Error) => void;

interface SendOptions {
  readonly binary?: boolean | undefined;
  readonly fin?: boolean | undefined;
}

/** The session whose connection it is; its slot is negative when it has none. */
export interface SocketOwner {
  readonly slot: number;
}

/**
 * The native connection of a registered worker, with the interface of a WebSocket of `ws`.
 *
 * It is made when somebody asks for it. Events are told from then on: `message` for every message, also heartbeats, after the
 * server has handled it; a binary message is decoded as UTF-8 on the way. `close` comes when the session ends, so also
 * when another connection takes its place.
 */
export class SessionSocket extends WebSocket {
  readonly #server: number;
  readonly #owner: SocketOwner;
  #isPaused = false;
  #isTerminated = false;
  /** Inside a message that is sent in fragments. */
  #isFragmented = false;
  #protocol: string | undefined;
  /** Sends that wait for a Blob to be read. */
  #waiting: Promise<void> | undefined;

  // Accessors of `ws` that its types have as properties, which a class cannot override.
  static {
    const accessor = <T>(get: (this: SessionSocket) => T): PropertyDescriptor => ({
      get,
      configurable: true,
    });
    Object.defineProperties(this.prototype, {
      readyState: accessor(function () {
        return this.#state;
      }),
      bufferedAmount: accessor(function () {
        return binding.unsentBytes(this.#server, this.#owner.slot) ?? 0;
      }),
      isPaused: accessor(function () {
        return this.#isPaused;
      }),
      protocol: accessor(function () {
        return (this.#protocol ??= binding.protocol(this.#server, this.#owner.slot) ?? "");
      }),
    });
  }

  constructor(server: number, owner: SocketOwner) {
    // As a `WebSocketServer` makes its sockets; the types do not have the options, which are read.
    super(...([null, undefined, {}] as unknown as [null]));
    this.#server = server;
    this.#owner = owner;
    super.on("newListener", (event: string) => {
      if (FRAME_EVENTS.includes(event)) binding.setObserved(server, owner.slot, true);
    });
    super.on("removeListener", () => {
      const isObserved = FRAME_EVENTS.some((event) => this.listenerCount(event) > 0);
      if (!isObserved) binding.setObserved(server, owner.slot, false);
    });
  }

  override send(data: Data, options?: SendOptions | Done, done?: Done): void {
    if (typeof options === "function") return this.send(data, undefined, options);
    if (this.#state !== WebSocket.OPEN) return this.#fail(done);
    const { binary = typeof data !== "string" && typeof data !== "number", fin = true } = options ?? {};
    if (this.#waiting !== undefined || data instanceof Blob) {
      this.#waiting = this.#sendLater(data, { binary, fin }, done);
      return;
    }
    if (typeof data === "string" && !binary && fin && !this.#isFragmented) {
      this.#finish(binding.send(this.#server, this.#owner.slot, data), done);
      return;
    }
    this.#sendBytes(bytesOf(data), { binary, fin }, done);
  }

  override ping(data?: Data, mask?: boolean | ControlDone, done?: ControlDone): void {
    this.#sendControl(Opcode.Ping, data, mask, done);
  }

  override pong(data?: Data, mask?: boolean | ControlDone, done?: ControlDone): void {
    this.#sendControl(Opcode.Pong, data, mask, done);
  }

  /** Throws like a WebSocket of `ws`, but leaves the connection open then. */
  override close(code?: number, reason: string | Buffer = ""): void {
    if (code !== undefined && !isCloseCode(code))
      throw new TypeError("First argument must be a valid error code number");
    const text = reason.toString();
    if (Buffer.byteLength(text) > LONGEST_REASON_BYTES)
      throw new RangeError(`The message must not be greater than ${LONGEST_REASON_BYTES} bytes`);
    binding.close(this.#server, this.#owner.slot, code ?? NO_CODE, text);
  }

  override terminate(): void {
    this.#isTerminated = true;
    binding.terminate(this.#server, this.#owner.slot);
  }

  override pause(): void {
    this.#setPaused(true);
  }

  override resume(): void {
    this.#setPaused(false);
  }

  /** A frame has come; of a ping or pong, each character is a byte. */
  received(opcode: number, text: string): void {
    if (opcode === Opcode.Ping || opcode === Opcode.Pong) {
      this.emit(opcode === Opcode.Ping ? "ping" : "pong", Buffer.from(text, "latin1"));
    } else {
      const isBinary = opcode === Opcode.Binary;
      this.emit("message", isBinary ? this.#inBinaryType(Buffer.from(text)) : Buffer.from(text), isBinary);
    }
  }

  /** The connection failed; its end follows. */
  failed(message: string): void {
    if (this.listenerCount("error") > 0) this.emit("error", new Error(message));
  }

  /** The session is over. */
  ended({ code, reason }: CloseReason): void {
    const isClean = code !== 1006;
    // Read by `ws` for the `wasClean` of close events.
    Object.assign(this, { _closeFrameReceived: isClean, _closeFrameSent: isClean });
    this.emit("close", code, Buffer.from(reason));
  }

  get #state(): WebSocket["readyState"] {
    if (this.#owner.slot < 0) return WebSocket.CLOSED;
    const isOpen = !this.#isTerminated && binding.isOpen(this.#server, this.#owner.slot);
    return isOpen ? WebSocket.OPEN : WebSocket.CLOSING;
  }

  #setPaused(isPaused: boolean): void {
    if (this.#state === WebSocket.CLOSED) return;
    this.#isPaused = isPaused;
    binding.setPaused(this.#server, this.#owner.slot, isPaused);
  }

  #sendControl(
    opcode: Opcode,
    data: Data | ControlDone,
    mask: boolean | ControlDone | undefined,
    last: ControlDone | undefined,
  ): void {
    const done = [data, mask, last].find((argument) => typeof argument === "function") as Done | undefined;
    if (this.#state !== WebSocket.OPEN) return this.#fail(done);
    const bytes = bytesOf(typeof data === "function" ? undefined : data);
    if (bytes.length > LONGEST_CONTROL_BYTES)
      throw new RangeError(`The data size must not be greater than ${LONGEST_CONTROL_BYTES} bytes`);
    this.#finish(binding.sendFrame(this.#server, this.#owner.slot, opcode | FINAL, bytes), done);
  }

  #sendBytes(bytes: Buffer, { binary, fin }: { binary: boolean; fin: boolean }, done?: Done): void {
    const kind = binary ? Opcode.Binary : Opcode.Text;
    const opcode = (this.#isFragmented ? Opcode.Continuation : kind) | (fin ? FINAL : 0);
    this.#isFragmented = !fin;
    this.#finish(binding.sendFrame(this.#server, this.#owner.slot, opcode, bytes), done);
  }

  /** Behind the sends that wait already, so that their order stays. */
  async #sendLater(data: Data, options: { binary: boolean; fin: boolean }, done?: Done): Promise<void> {
    const before = this.#waiting;
    const own = data instanceof Blob ? data.arrayBuffer() : data;
    await before;
    try {
      this.#sendBytes(bytesOf(await own), options, done);
    } catch (error) {
      done?.(error as Error);
    }
  }

  #finish(wasTaken: boolean, done: Done | undefined): void {
    if (!wasTaken) this.#fail(done);
    else if (done !== undefined) process.nextTick(done);
  }

  #fail(done: Done | undefined): void {
    if (done === undefined) return;
    const state = this.#state;
    const what =
      state === WebSocket.OPEN
        ? "WebSocket takes no more: its peer does not read"
        : `WebSocket is not open: readyState ${state} (${STATE_NAMES[state]})`;
    process.nextTick(done, new Error(what));
  }

  #inBinaryType(bytes: Buffer): unknown {
    switch (this.binaryType as string) {
      case "arraybuffer":
        return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
      case "fragments":
        return [bytes];
      case "blob":
        return new Blob([bytes as never]);
      default:
        return bytes;
    }
  }
}

/** What `close` of the binding takes for a close frame without a code. */
const NO_CODE = 1005;

const STATE_NAMES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];

function bytesOf(data: unknown): Buffer {
  if (data === undefined || data === null) return NO_BYTES;
  if (Buffer.isBuffer(data)) return data;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (typeof data === "number") return Buffer.from(String(data));
  // Throws a TypeError for what is neither text nor bytes.
  return Buffer.from(data as string);
}

/** Codes that a close frame may have. */
function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  const isProtocols = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
  return isProtocols || (code >= 3000 && code <= 4999);
}
