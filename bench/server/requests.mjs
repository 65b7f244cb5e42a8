import { Latency } from "./latency.mjs";

/** Length of a request without its payload: {"type":"work_request","requestId":"000000:0000","payload":""}. */
const EMPTY = 64;
const MODEL = "sonnet-3.5";

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
  #ids;
  #counters;
  #isRunning = false;
  #isPicking = false;
  #payload = "";
  /** Each request in flight by its id: when it was sent, and to whom. */
  #inFlight = new Map();
  #next = 0;
  #timer;

  constructor(server, ids, counters) {
    this.#server = server;
    this.#ids = ids;
    this.#counters = counters;
  }

  get outstanding() {
    return this.#inFlight.size;
  }

  /** `pick`: asks the server for a worker each time, instead of staying with the one that has answered. */
  start({ inflight, size, rate, pick }) {
    this.#isRunning = true;
    this.#isPicking = pick === "true";
    this.#payload = "x".repeat(Math.max(0, Number(size) - EMPTY));
    const ids = [...this.#ids];
    if (Number(rate) > 0) return this.#pace(Number(rate), ids);
    const first = ids.flatMap((id) => Array(Number(inflight)).fill(id));
    setImmediate(() => first.forEach((id) => this.#dispatch(id)));
  }

  stop() {
    this.#isRunning = false;
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
    if (this.#isRunning && this.#timer === undefined) this.#dispatch(request.workerId);
  }

  /** What is due each millisecond, for one worker after the other. */
  #pace(rate, ids) {
    const begin = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begin) * rate) / 1000);
      for (; done < due; done++) this.#dispatch(ids[done % ids.length]);
    }, 1);
  }

  #dispatch(workerId) {
    const id = this.#isPicking ? this.#server.getAvailableWorker(MODEL)?.id : workerId;
    if (id === undefined) {
      this.#counters.bad++;
      return;
    }
    const number = this.#next++;
    const requestId = `${String(number % 1_000_000).padStart(6, "0")}:${String(number % 10_000).padStart(4, "0")}`;
    this.#server.trackRequest(id, requestId);
    this.#inFlight.set(requestId, { sentAt: performance.now(), workerId: id });
    this.dispatched++;
    const message = { type: "work_request", requestId, payload: this.#payload };
    if (!this.#server.send(id, message)) this.#counters.bad++;
  }
}
