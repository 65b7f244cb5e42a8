/** Length of a notice without its payload: {"type":"notice","seq":000000,"payload":""}. */
const EMPTY = 45;
/** Sends before the event loop has its turn. */
const BATCH = 256;

/** Sends many messages to workers, and tells how long the calls took. */
export class Broadcaster {
  /** Of the last `send`. */
  sending = { beginNs: 0, callMs: 0 };
  #server;
  #roster;
  #seq = 0;

  constructor(server, roster) {
    this.#server = server;
    this.#roster = roster;
  }

  /** Messages to everyone, one per turn: when that began (CLOCK_MONOTONIC) and how long the calls took. */
  async broadcast({ size, count }) {
    const filling = payload(size);
    // Not in the turn of the control request.
    await turn();
    const beginNs = monotonicNs();
    let callMs = 0;
    for (let left = Number(count); left > 0; left--) {
      const message = this.#message(filling);
      const began = performance.now();
      this.#server.broadcast(message);
      callMs += performance.now() - began;
      if (left > 1) await turn();
    }
    return { beginNs, callMs };
  }

  /** Begins to send `count` messages, one worker after the other. */
  send({ count, size }) {
    setImmediate(() => void this.#sendAll(Number(count), size));
  }

  async #sendAll(count, size) {
    const ids = this.#roster.all;
    const filling = payload(size);
    this.sending = { beginNs: monotonicNs(), callMs: 0 };
    for (let sent = 0; sent < count;) {
      const end = Math.min(sent + BATCH, count);
      const began = performance.now();
      // A worker that does not take more now is asked again in the next turn.
      while (sent < end && this.#server.send(ids[sent % ids.length], this.#message(filling))) sent++;
      this.sending.callMs += performance.now() - began;
      await turn();
    }
  }

  #message(filling) {
    return { type: "notice", seq: this.#seq++, payload: filling };
  }
}

function payload(size) {
  return "x".repeat(Math.max(0, Number(size) - EMPTY));
}

function turn() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Exact to a microsecond as a number, for decades of uptime. */
function monotonicNs() {
  return Number(process.hrtime.bigint());
}
