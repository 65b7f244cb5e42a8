import { Duplex } from "node:stream";
// Not the globals, which a test may fake: Node's own sockets would go on, too.
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { binding } from "./native.js";

/** Most bytes of one read. */
const READ_BYTES = 16 * 1024;

/** From here on a piece is large: not worth a copy, and worth a turn of the event loop. */
const BULK_BYTES = 8 * 1024;

/** Bytes read for which 8 bytes of ballast are made. */
const READ_BYTES_PER_BALLAST = 16;

const memory = {
  /** What the next read of any connection fills, behind what earlier ones have: most of them find little or nothing. */
  spare: Buffer.allocUnsafeSlow(READ_BYTES),
  used: 0,
  /**
   * V8 weighs a buffer as the few bytes of its handle, and lets 32 MiB of dropped buffers gather before it looks for
   * them. Going with each large buffer, this is what it does weigh, so that it looks several times as often.
   */
  ballast: [] as unknown[],
};

/** Most bytes handed over in one write. */
const PIECE_BYTES = 256 * 1024;

/** Longest text that is handed over as it is. */
const LONGEST_TEXT = 64 * 1024;

/** Encodings in which plain ASCII is the same bytes. */
const ASCII_ENCODINGS: ReadonlySet<string> = new Set(["latin1", "utf8", "utf-8", "ascii", "binary"]);

/** Bytes that the peer has not read, from which on it is not read either: what it causes must not pile up. */
const MOST_UNREAD_BYTES = 1024 * 1024;

interface Chunk {
  chunk: Buffer | string;
  encoding: BufferEncoding;
}

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
  bytesRead = 0;
  bytesWritten = 0;
  /** Milliseconds; undefined until it is set for the first time. */
  timeout: number | undefined;
  /** Requests that are not answered to their end. */
  unanswered = 0;
  readonly #server: number;
  readonly #bridge: number;
  readonly #addresses: Addresses;
  /** Runs for `timerMs`, perhaps for nothing: that is cheaper than to end it with each request. */
  #timer: NodeJS.Timeout | undefined;
  #timerMs = 0;
  #wantsRead = false;
  /** There may be something to read; otherwise the native side will tell. */
  #isReadable = true;
  /** Whether the last piece was large. */
  #isBulk = false;
  #written: (() => void) | undefined;

  constructor(server: number, bridge: number, addresses: Addresses) {
    super({ allowHalfOpen: true, decodeStrings: false });
    this.#server = server;
    this.#bridge = bridge;
    this.remoteAddress = addresses.remoteAddress;
    this.remotePort = addresses.remotePort;
    this.remoteFamily = familyOf(addresses.remoteAddress);
    this.#addresses = addresses;
  }

  // As those of a closed handle, local addresses are gone with the connection; remote ones stay.
  get localAddress(): string | undefined {
    return this.destroyed ? undefined : this.#addresses.localAddress;
  }

  get localPort(): number | undefined {
    return this.destroyed ? undefined : this.#addresses.localPort;
  }

  get localFamily(): string | undefined {
    return familyOf(this.localAddress);
  }

  /** Connected from the start. */
  get connecting(): boolean {
    return false;
  }

  get pending(): boolean {
    return this.destroyed;
  }

  get readyState(): "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Deprecated in Node as well. */
  get bufferSize(): number | undefined {
    return this.destroyed ? undefined : this.writableLength;
  }

  /** The native side has bytes or an end for us. */
  onNativeReadable(): void {
    this.#isReadable = true;
    if (this.#wantsRead) this.#deliver(true);
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
    if (!this.#isReadable) this.#wantsRead = true;
    // As from the system, what is large comes once a turn: its taker is to be done with it before there is more.
    else if (this.#isBulk) setImmediate(() => this.#deliver(false));
    else this.#deliver(false);
  }

  #deliver(isEvent: boolean): void {
    if (this.destroyed) return;
    this.#wantsRead = false;
    if (this.writableLength > MOST_UNREAD_BYTES) {
      this.once("drain", () => this.#deliver(false));
      return;
    }
    const read = binding.bridgeRead(this.#server, this.#bridge, memory.spare, memory.used);
    const length = Math.floor(read);
    const hasEnded = read < 0 || read > length;
    this.#isReadable = length === READ_BYTES - memory.used;
    this.#isBulk = length >= BULK_BYTES;
    if (length > 0) {
      this.bytesRead += length;
      const bytes = takeSpare(length);
      if (isEvent && !this.#isReadable && !this.#isBulk && !hasEnded && this.#isListenedTo()) {
        // What push() would do, which then would ask for more and be told that there is none.
        this.#wantsRead = true;
        this.emit("data", bytes);
      } else {
        this.push(bytes);
      }
      this.#touch();
    } else if (!hasEnded) {
      this.#wantsRead = true;
    }
    // In a turn of its own, too: by then the last request has been handled.
    if (hasEnded) setImmediate(() => this.push(null));
  }

  /** Whoever reads takes what comes at once and as it is. */
  #isListenedTo(): boolean {
    return this.readableFlowing === true && this.readableLength === 0 && this.readableEncoding === null;
  }

  override _write(chunk: Chunk["chunk"], encoding: BufferEncoding, done: () => void): void {
    this._writev([{ chunk, encoding }], done);
  }

  /** Node corks the parts of a response; together they are one write to the system. */
  override _writev(chunks: Chunk[], done: () => void): void {
    const text = textOf(chunks);
    const goesOn =
      text === undefined ? undefined : binding.bridgeWriteAscii(this.#server, this.#bridge, text);
    if (goesOn === undefined) return this.#writeBytes(chunks.map(bytesOf), done);
    this.bytesWritten += text!.length;
    this.#touch();
    if (goesOn) done();
    else this.#written = done;
  }

  #writeBytes(parts: Buffer[], done: () => void): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.bytesWritten += length;
    if (length > PIECE_BYTES) this.#writePieces(piecesOf(parts), done);
    else this.#writePieces([parts.length === 1 ? parts[0]! : Buffer.concat(parts)].values(), done);
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
    this.#timer = undefined;
    binding.bridgeTerminate(this.#server, this.#bridge);
    this.onNativeWritable();
    done(error);
  }

  /** Emits 'timeout' after that long without a byte; 0: never. */
  setTimeout(ms: number, listener?: () => void): this {
    this.timeout = ms;
    if (ms === this.#timerMs) this.#touch();
    else if (ms > 0) this.#startTimer(ms);
    if (listener !== undefined) {
      if (ms > 0) this.once("timeout", listener);
      else this.off("timeout", listener);
    }
    return this;
  }

  #startTimer(ms: number): void {
    clearTimeout(this.#timer);
    this.#timerMs = ms;
    this.#timer = setTimeout(() => {
      if (this.#hasTimeout) this.emit("timeout");
    }, ms).unref();
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

  /** Destroying ends the connection with a reset if anything was not read or not sent. */
  resetAndDestroy(): this {
    return this.destroy();
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  get #hasTimeout(): boolean {
    return this.timeout !== undefined && this.timeout > 0;
  }

  #touch(): void {
    if (this.#hasTimeout) this.#timer?.refresh();
  }
}

/** The bytes that were read into the spare buffer, which is replaced when they are many or little of it is left. */
function takeSpare(length: number): Buffer {
  const { spare, used } = memory;
  const bytes = spare.subarray(used, used + length);
  memory.used += length;
  if (READ_BYTES - memory.used < BULK_BYTES) {
    memory.spare = Buffer.allocUnsafeSlow(READ_BYTES);
    memory.used = 0;
  }
  if (length >= BULK_BYTES) memory.ballast = Array(Math.ceil(length / READ_BYTES_PER_BALLAST));
  return bytes;
}

/** The parts of a response as one text, if they may be written as ASCII; most of them are short, and they are. */
function textOf(chunks: readonly Chunk[]): string | undefined {
  let text = "";
  for (const { chunk, encoding } of chunks) {
    if (typeof chunk === "string" && ASCII_ENCODINGS.has(encoding)) text += chunk;
    else if (isLineEnd(chunk)) text += "\r\n";
    else return undefined;
  }
  return text.length > LONGEST_TEXT ? undefined : text;
}

/** Node has these between the chunks of a response. */
function isLineEnd(chunk: Chunk["chunk"]): boolean {
  return chunk.length === 2 && chunk[0] === 13 && chunk[1] === 10;
}

function bytesOf({ chunk, encoding }: Chunk): Buffer {
  return typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
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
