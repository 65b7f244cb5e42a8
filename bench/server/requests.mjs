import { Latency } from "./latency.mjs";

/** Length of a request without its payload: {"type":"work_request","requestId":"000000:0000","payload":""}. */
const EMPTY = 64;
const MODEL = "model-00";

/**
 * Hands out requests and takes the answers, as an application does: track, send, release.
 *
 * In a closed loop there are so many requests in flight for each worker, and each answer brings the next; at a rate
 * they are handed out on a schedule. The time is taken from the send to the handler.
 */
export class Requests {
  latency = new Latency();
  dispatched = 0;
  #server;
  #roster;
  #counters;
  #payload = "";
  /** Each request in flight by its id: when it was sent, and to whom. */
  #inFlight = new Map();
  /** Called when one was answered, with the worker's id. */
  #onAnswer = () => {};
  #timer;

  constructor(server, roster, counters) {
    this.#server = server;
    this.#roster = roster;
    this.#counters = counters;
  }

  get outstanding() {
    return this.#inFlight.size;
  }

  /** A closed loop; with `select` the server is asked who gets the next request, instead of the one who has answered. */
  loop({ inflight, size, select }) {
    this.#payload = payload(size);
    this.#onAnswer = (id) => this.#dispatch(select === "true" ? this.#selected() : id);
    const first = this.#roster.all.flatMap((id) => Array(Number(inflight)).fill(id));
    setImmediate(() => first.forEach((id) => this.#dispatch(id)));
  }

  /** So many a second, by turns to one after the other and to those whom the server selects; at most `most` in flight. */
  pace({ rate, size, most }) {
    this.#payload = payload(size);
    const perMs = Number(rate) / 1000;
    const begin = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor((performance.now() - begin) * perMs);
      for (; done < due && this.#inFlight.size < Number(most); done++) {
        this.#dispatch(done % 2 === 0 ? this.#roster.next() : this.#selected());
      }
      // What there was no room for is not made up for.
      done = due;
    }, 1);
  }

  stop() {
    this.#onAnswer = () => {};
    clearInterval(this.#timer);
  }

  complete({ requestId }) {
    const request = this.#inFlight.get(requestId);
    if (request === undefined) {
      this.#counters.bad++;
      return;
    }
    this.latency.add(performance.now() - request.sentAt);
    this.#inFlight.delete(requestId);
    this.#counters.completed++;
    this.#server.releaseRequest(requestId, { incrementCompleted: true });
    this.#onAnswer(request.workerId);
  }

  /** Those of a worker that has gone. */
  forget(requestIds) {
    for (const id of requestIds) this.#inFlight.delete(id);
  }

  #selected() {
    return this.#server.getAvailableWorker(MODEL)?.id;
  }

  #dispatch(workerId) {
    if (workerId === undefined) {
      this.#counters.bad++;
      return;
    }
    const requestId = nameOf(this.dispatched);
    this.#server.trackRequest(workerId, requestId);
    this.#inFlight.set(requestId, { sentAt: performance.now(), workerId });
    const message = { type: "work_request", requestId, payload: this.#payload };
    if (this.#server.send(workerId, message)) this.dispatched++;
    else this.#refused(requestId);
  }

  /** A worker that is leaving takes no more. */
  #refused(requestId) {
    this.#counters.refused++;
    this.#inFlight.delete(requestId);
    this.#server.releaseRequest(requestId);
  }
}

function payload(size) {
  return "x".repeat(Math.max(0, Number(size) - EMPTY));
}

/** Always of the same length; comes again when those of that name are long done. */
function nameOf(number) {
  const digits = String(number % 10_000_000_000).padStart(10, "0");
  return `${digits.slice(0, 6)}:${digits.slice(6)}`;
}
