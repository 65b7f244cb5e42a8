/** Length of a notice without its payload: {"type":"notice","seq":000000,"payload":""}. */
const EMPTY = 45;
/** Sends before the event loop has its turn. */
const BATCH = 256;

/** Sends many messages to workers, and tells how long the calls took. */
export class Broadcaster {
  /** Of the last `send`. */
  sending = { beginNs: 0, callMs: 0 };
  #server;
  #ids;
  #seq = 0;

  constructor(server, ids) {
    this.#server = server;
    this.#ids = ids;
  }

  /** One message to everyone: when the call began (CLOCK_MONOTONIC) and how long it took. */
  async broadcast({ size }) {
    const message = this.#message(payload(size));
    // Not in the turn of the control request.
    await turn();
    const beginNs = monotonicNs();
    const began = performance.now();
    this.#server.broadcast(message);
    return { beginNs, callMs: performance.now() - began };
  }

  /** Begins to send `count` messages, one worker after the other. */
  send({ count, size }) {
    setImmediate(() => void this.#sendAll(Number(count), size));
  }

  async #sendAll(count, size) {
    const ids = [...this.#ids];
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
