/** Hands requests to workers by model and category, and keeps those that nobody has a free slot for. */
export class Dispatcher {
  #server;
  #onResult;
  #queued = [];
  #inFlight = new Map();

  /** `onResult` gets `{ requestId, model, category, worker, result, millis }` for every request. */
  constructor(server, onResult) {
    this.#server = server;
    this.#onResult = onResult;
    server.onWorkerConnected(() => this.#dispatch());
    server.onWorkerMessage("work_complete", (worker, { requestId, result }) =>
      this.#complete(worker, requestId, result),
    );
    server.onWorkerDisconnected((_worker, pendingRequestIds) => this.#takeBack(pendingRequestIds));
  }

  get queued() {
    return this.#queued.length;
  }

  get inFlight() {
    return this.#inFlight.size;
  }

  /** Takes a request `{ requestId, model, category, input }`. */
  request(request) {
    this.#queued.push({ ...request, began: performance.now() });
    this.#dispatch();
  }

  /** Sends what can be sent; a request whose model has no free slot does not hold up the others. */
  #dispatch() {
    this.#queued = this.#queued.filter((request) => !this.#trySend(request));
  }

  #trySend(request) {
    const { requestId, model, category, input } = request;
    const worker = this.#server.getAvailableWorker(model, category);
    if (!worker) return false;
    this.#server.trackRequest(worker.id, requestId, category);
    if (this.#server.send(worker.id, { type: "work_request", requestId, model, category, input })) {
      this.#inFlight.set(requestId, request);
      return true;
    }
    this.#server.releaseRequest(requestId);
    return false;
  }

  #complete(worker, requestId, result) {
    this.#server.releaseRequest(requestId, { incrementCompleted: true });
    const request = this.#inFlight.get(requestId);
    if (request) {
      this.#inFlight.delete(requestId);
      const { model, category, began } = request;
      this.#onResult({
        requestId,
        model,
        category,
        worker: worker.name,
        result,
        millis: performance.now() - began,
      });
    }
    this.#dispatch();
  }

  /** What a lost worker had in hand goes to the others. */
  #takeBack(requestIds) {
    for (const requestId of requestIds) {
      const request = this.#inFlight.get(requestId);
      if (!request) continue;
      this.#inFlight.delete(requestId);
      this.#queued.unshift(request);
    }
    this.#dispatch();
  }
}
