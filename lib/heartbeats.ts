import { binding } from "./native.js";

/** Slots whose heartbeats lie in one piece of the native side's memory. */
const CHUNK = 1_024;

/** When the workers of a native pool last beat, in milliseconds since the Unix epoch, read without a call. */
export class Heartbeats {
  readonly #server: number;
  readonly #chunks: (Float64Array | undefined)[] = [];

  constructor(server: number) {
    this.#server = server;
  }

  /** `undefined`: nobody has the slot, or memory cannot be shared. */
  of(slot: number): number | undefined {
    const chunk = this.#chunks[slot >>> 10];
    return chunk === undefined ? binding.lastHeartbeat(this.#server, slot) : chunk[slot & (CHUNK - 1)];
  }

  /** A worker was given a slot. */
  entered(slot: number): void {
    const number = slot >>> 10;
    if (this.#chunks[number] !== undefined) return;
    const memory = binding.heartbeatChunk(this.#server, number);
    if (memory !== undefined) this.#chunks[number] = new Float64Array(memory);
  }
}
