import { Duplex } from "node:stream";
// Not the globals, which a test may fake: Node's own sockets would go on, too.
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { binding } from "./native.js";

/** Bytes asked for in one read. */
const READ_BYTES = 16 * 1024;

/** From here on a piece is large: not worth a copy, and worth a turn of the event loop. */
const BULK_BYTES = 8 * 1024;

/** Bytes read for which 8 bytes of ballast are made. */
const READ_BYTES_PER_BALLAST = 16;

const memory = {
  /** What the next read of any connection fills: most of them find little or nothing. */
  spare: Buffer.allocUnsafeSlow(READ_BYTES),
  /**
   * V8 weighs a buffer as the few bytes of its handle, and lets 32 MiB of dropped buffers gather before it looks for
   * them. Going with each large buffer, this is what it does weigh, so that it looks several times as often.
   */
  ballast: [] as unknown[],
};

/** Most bytes handed over in one write. */
const PIECE_BYTES = 256 * 1024;

/** Bytes that the peer has not read, from which on it is not read either: what it causes must not pile up. */
const MOST_UNREAD_BYTES = 1024 * 1024;

/** Both ends of a bridged connection. */
export interface Addresses {
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  localAddress: string | undefined;
  localPort: number | undefined;
}

/**
 * A connection that the native side accepted, with as much of `net.Socket` as Node's HTTP server and its users look at.
 * Its bytes cross with backpressure both ways.
 */
export class BridgeSocket extends Duplex {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: string | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly localFamily: string | undefined;
  bytesRead = 0;
  bytesWritten = 0;
  timeout = 0;
  /** Requests that are not answered to their end. */
  unanswered = 0;
  readonly #server: number;
  readonly #bridge: number;
  #timer: NodeJS.Timeout | undefined;
  #wantsRead = false;
  /** Whether the last piece was large. */
  #isBulk = false;
  #written: (() => void) | undefined;

  constructor(server: number, bridge: number, addresses: Addresses) {
    super({ allowHalfOpen: true });
    this.#server = server;
    this.#bridge = bridge;
    this.remoteAddress = addresses.remoteAddress;
    this.remotePort = addresses.remotePort;
    this.remoteFamily = familyOf(addresses.remoteAddress);
    this.localAddress = addresses.localAddress;
    this.localPort = addresses.localPort;
    this.localFamily = familyOf(addresses.localAddress);
  }

  /** The native side has bytes or an end for us. */
  onNativeReadable(): void {
    if (this.#wantsRead) this.#deliver();
  }

  /** The native side takes bytes again, or has ended our side. */
  onNativeWritable(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  /** The connection is gone on the native side, with what was not read of it. */
  onNativeClosed(): void {
    if (this.readableEnded || this.writableFinished) this.destroy();
    else this.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" }));
  }

  override _read(): void {
    // As from the system, what is large comes once a turn: its taker is to be done with it before there is more.
    if (this.#isBulk) setImmediate(() => this.#deliver());
    else this.#deliver();
  }

  #deliver(): void {
    if (this.destroyed) return;
    if (this.writableLength > MOST_UNREAD_BYTES) {
      this.once("drain", () => this.#deliver());
      return;
    }
    const length = binding.bridgeRead(this.#server, this.#bridge, memory.spare);
    this.#wantsRead = length === 0;
    this.#isBulk = length >= BULK_BYTES;
    if (length < 0) {
      // In a turn of its own, too: by then the last request has been handled.
      setImmediate(() => this.push(null));
    } else if (length > 0) {
      this.bytesRead += length;
      this.#touch();
      this.push(takeSpare(length));
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytesWritten += chunk.length;
    if (chunk.length > PIECE_BYTES) this.#writePieces(piecesOf([chunk]), done);
    else this.#writePieces([chunk].values(), done);
  }

  /** Node corks the parts of a response; together they are one write to the system. */
  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    const parts = chunks.map(({ chunk }) => chunk);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.bytesWritten += length;
    this.#writePieces(length > PIECE_BYTES ? piecesOf(parts) : [Buffer.concat(parts)].values(), done);
  }

  /** The native side copies what it is given, so of much it is given a piece whenever there is room. */
  #writePieces(pieces: Iterator<Buffer>, done: () => void): void {
    for (let next = pieces.next(); !next.done && !this.destroyed; next = pieces.next()) {
      this.#touch();
      if (!binding.bridgeWrite(this.#server, this.#bridge, next.value)) {
        this.#written = () => this.#writePieces(pieces, done);
        return;
      }
    }
    done();
  }

  override _final(done: () => void): void {
    // Done when all has been handed to the system: destroying the connection before would drop it.
    this.#written = done;
    binding.bridgeFinish(this.#server, this.#bridge);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    binding.bridgeTerminate(this.#server, this.#bridge);
    this.onNativeWritable();
    done(error);
  }

  /** Emits 'timeout' after that long without a byte; 0: never. */
  setTimeout(ms: number, listener?: () => void): this {
    this.timeout = ms;
    clearTimeout(this.#timer);
    this.#timer = ms > 0 ? setTimeout(() => this.emit("timeout"), ms).unref() : undefined;
    if (listener !== undefined) {
      if (ms > 0) this.once("timeout", listener);
      else this.off("timeout", listener);
    }
    return this;
  }

  address(): { address?: string | undefined; family?: string | undefined; port?: number | undefined } {
    return { address: this.localAddress, family: this.localFamily, port: this.localPort };
  }

  // The native side has set these for every connection, and owns the handle.
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  #touch(): void {
    this.#timer?.refresh();
  }
}

/** The first bytes of the spare buffer: a copy if they are few, else the buffer itself, which is replaced. */
function takeSpare(length: number): Buffer {
  const bytes = memory.spare.subarray(0, length);
  if (length < BULK_BYTES) return Buffer.from(bytes);
  memory.spare = Buffer.allocUnsafeSlow(READ_BYTES);
  memory.ballast = Array(Math.ceil(length / READ_BYTES_PER_BALLAST));
  return bytes;
}

function* piecesOf(chunks: readonly Buffer[]): Generator<Buffer> {
  for (const chunk of chunks) {
    for (let from = 0; from < chunk.length; from += PIECE_BYTES)
      yield chunk.subarray(from, from + PIECE_BYTES);
  }
}

function familyOf(address: string | undefined): string | undefined {
  return address === undefined ? undefined : address.includes(":") ? "IPv6" : "IPv4";
}
