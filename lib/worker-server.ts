import { Application } from "./application.js";
import { dispatch } from "./dispatch/dispatch.js";
import { snapshotOf } from "./dispatch/snapshot.js";
import type {
  DispatchedRequest,
  DispatchRequest,
  WorkerEventHandler,
  WorkerMessage,
  WorkerMessageEvent,
  WorkerSnapshot,
} from "./dispatch/types.js";
import { settlementOf } from "./dispatch/settlement.js";
import { Dispatcher } from "./dispatcher.js";
import { Fleet } from "./fleet.js";
import { HealthCheck } from "./health-check.js";
import { HttpGateway } from "./http-gateway.js";
import { listenAddress, listenError } from "./listen.js";
import { Logger } from "./logger.js";
import { binding, VIEW_LENGTH } from "./native.js";
import { checkNumber, checkOptions, checkTokens, type CheckedOptions } from "./options.js";
import { SessionPool } from "./session-pool.js";
import type {
  HttpRequestHandler,
  ServerStats,
  StopOptions,
  WebSocketConnectionHandler,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
  WorkerServerOptions,
} from "./types.js";

/** Milliseconds that `stop` gives connections to end by themselves. */
const STOP_TIMEOUT_MS = 5_000;

/**
 * A server to which workers connect by WebSocket, on a native core: sockets, registration, heartbeats, selection and
 * tracking run outside the JavaScript thread, which is entered only for what the handlers must see.
 *
 * @example
 * const server = new WorkerServer({ port: 19100 });
 * server.onWorkerMessage("work_complete", (worker, message) => {
 *   server.releaseRequest(message.requestId, { incrementCompleted: true });
 * });
 * await server.start();
 * const worker = server.getAvailableWorker("sonnet");
 * if (worker) {
 *   server.trackRequest(worker.id, "req-1");
 *   server.send(worker.id, { type: "work_request", requestId: "req-1" });
 * }
 */
export class WorkerServer {
  // Private by its type only: existing programs and tests reach for it at run time.
  private readonly pool: SessionPool;
  readonly #options: CheckedOptions;
  readonly #logger: Logger;
  readonly #native: InstanceType<typeof binding.NativeServer>;
  readonly #fleet: Fleet;
  readonly #application: Application;
  readonly #dispatcher: Dispatcher;
  readonly #healthCheck: HealthCheck;
  readonly #http: HttpGateway;
  #boundPort: number | undefined;
  #isRunning = false;
  /** The last start failed, and there was no `stop` since. */
  #hasFailed = false;
  /** Told when the native side has stopped. */
  #stopping: { done: Promise<void>; resolve: () => void } | undefined;
  /** Counts starts and stops, so that a start notices that it was stopped. */
  #epoch = 0;

  /**
   * Opens nothing and logs nothing.
   *
   * @throws TypeError when an option is of a wrong type; its message names the option.
   */
  constructor(options: WorkerServerOptions) {
    this.#options = checkOptions(options);
    const view = new Float64Array(VIEW_LENGTH);
    this.#native = new binding.NativeServer(this.#options.native, view);
    this.#logger = new Logger(this.#options.logger, this.#options.maxWarningsPerMinute);
    const home = { number: this.#native.number, view, logger: this.#logger };
    this.#fleet = new Fleet(home);
    this.#http = new HttpGateway(home, this.#options);
    this.#healthCheck = new HealthCheck(home, this.#fleet, this.#options.native.heartbeatTimeoutMs);
    this.pool = new SessionPool(this.#fleet, this.#healthCheck);
    this.#application = new Application(this.#logger, (requestId) =>
      settlementOf(requestId, (id, completed) => this.#fleet.release(id, completed)),
    );
    this.#dispatcher = new Dispatcher(home, this.#fleet, this.#application, {
      bridgeOpened: (bridge, addresses) => this.#http.open(bridge, addresses),
      bridgeReadable: (bridge) => this.#http.readable(bridge),
      bridgeWritable: (bridge) => this.#http.writable(bridge),
      bridgeClosed: (bridge) => this.#http.closed(bridge),
      stopped: () => this.#stopping?.resolve(),
    });
  }

  /** The configured port before `start`, the bound one after it (kept after `stop`). */
  get port(): number {
    return this.#boundPort ?? (this.#options.port as number);
  }

  /**
   * Listens on all interfaces; resolves when it does.
   *
   * @throws (rejects) Error "WorkerServer is already running" until `stop` was called; RangeError with code
   * ERR_SOCKET_BAD_PORT; an Error like Node's own (`code`, `errno`, `syscall`, `address`, `port`) when the port cannot be
   * had. After a failure it may be called again.
   */
  async start(): Promise<void> {
    if (this.#isRunning || this.#stopping !== undefined) throw new Error("WorkerServer is already running");
    // Until it succeeds.
    this.#hasFailed = true;
    const address = listenAddress(this.#options.port);
    const outcome = this.#native.listen(address, this.#dispatcher.wake);
    if (outcome.errno !== undefined && outcome.errno !== null) {
      const error = listenError(outcome.errno, outcome.address ?? "", address);
      this.#logger.error("HTTP server error", { error: error.message });
      throw error;
    }
    this.#hasFailed = false;
    this.#isRunning = true;
    const epoch = ++this.#epoch;
    this.#boundPort = outcome.port ?? this.#boundPort;
    this.#http.start();
    this.#healthCheck.start(this.#options.native.healthCheckIntervalMs);
    // As with Node's servers, listening is told after the caller's turn, in which the server may be stopped again.
    await Promise.resolve();
    if (this.#epoch !== epoch) throw new Error("WorkerServer was stopped before it had started");
    this.#logger.debug("HTTP + WebSocket server started", { port: this.port });
  }

  /**
   * Closes all workers (1001 "Server shutting down"; their disconnected handlers are not called), stops listening, and
   * resolves when the last connection is gone. What has not ended by itself after `timeoutMs` (default 5,000) is dropped.
   * The same object can be started again.
   *
   * @throws (rejects) TypeError when `timeoutMs` is no number >= 0; nothing is stopped then.
   */
  async stop(options?: StopOptions): Promise<void> {
    const timeoutMs = checkNumber("options.timeoutMs", options?.timeoutMs ?? STOP_TIMEOUT_MS);
    if (this.#stopping !== undefined) {
      await this.#stopping.done;
    } else if (this.#isRunning) {
      this.#isRunning = false;
      this.#epoch++;
      await this.#shutDown(timeoutMs);
    } else if (this.#hasFailed) {
      // Nothing to stop, but it says so, as in version 1.
      this.#hasFailed = false;
    } else {
      return;
    }
    this.#logger.debug("HTTP + WebSocket server stopped");
  }

  async #shutDown(graceMs: number): Promise<void> {
    this.#healthCheck.stop();
    this.#dispatcher.stopped(this.#fleet.clear());
    const wasListening = this.#native.shutdown(graceMs);
    this.#http.stop();
    if (!wasListening) return;
    let resolve!: () => void;
    const done = new Promise<void>((resolveDone) => (resolve = resolveDone));
    this.#stopping = { done, resolve };
    await done;
    this.#native.release();
    this.#stopping = undefined;
  }

  /** Calls `handler` for each worker that registers; returns the function that ends this. */
  onWorkerConnected(handler: WorkerConnectedHandler): () => void {
    return this.#application.connected.add(handler);
  }

  /**
   * Calls `handler` for each worker that disconnects, with the ids of its requests in flight. Not called by `stop`, nor
   * for a worker that was replaced by a new connection and had no requests in flight.
   */
  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void {
    return this.#application.disconnected.add(handler);
  }

  /** Calls `handler` for each message of that type; what it throws is logged. */
  onWorkerMessage<T = any>(type: string, handler: WorkerMessageHandler<T>): () => void {
    return this.#application.onMessage(type, handler);
  }

  /**
   * Calls `handler` for each message of that type with one argument, a frozen event with what is needed to end the
   * request that the message is about. All handlers get the same event, so that two of them end a request once.
   *
   * @example
   * server.onWorkerEvent("work_complete", (event) => {
   *   console.log(event.worker.name, event.message.output);
   *   event.complete();
   * });
   */
  onWorkerEvent<T extends { type: string } = WorkerMessage>(
    type: string,
    handler: (event: WorkerMessageEvent<T>) => void,
  ): () => void {
    return this.#application.onEvent(type, handler as WorkerEventHandler);
  }

  /**
   * Sends a message to the least loaded worker that is available, has the model and is below its limit for the category;
   * among equally loaded ones to the first in the order of `id.localeCompare`, and if that one does not take it to the
   * next. The message's `requestId` is tracked on the worker that took it, until the result's `complete` or `fail`, or
   * those of a message about that request. `null`: nobody took it.
   *
   * @throws TypeError without a message, or when the model is no string.
   *
   * @example
   * const message = { type: "work_request", requestId: "req-1", input: "..." };
   * const dispatched = server.dispatch({ model: "sonnet", category: "inference", message });
   * if (dispatched === null) console.log("all workers are busy");
   * else console.log(`${dispatched.worker.name} works on ${dispatched.requestId}`);
   */
  dispatch<T extends { type: string; requestId: string }>(
    request: DispatchRequest<T>,
  ): DispatchedRequest<T> | null {
    return dispatch(this.#fleet, this.#logger, request);
  }

  /** All registered workers, in order of registration, as snapshots that do not change. */
  listWorkers(): WorkerSnapshot[] {
    return this.#fleet.infos().map(snapshotOf);
  }

  /** Requests that the available workers for a model (and category) still take. */
  availableSlots(model: string, category?: string): number {
    return this.#fleet.room(model, category);
  }

  /**
   * Sends a message as JSON. False: no such worker, its connection is not open, it does not read what it is sent, or the
   * message cannot be serialised. True does not say that it has arrived.
   */
  send(workerId: string, message: unknown): boolean {
    return this.#fleet.send(workerId, message);
  }

  /**
   * Sends a message as JSON to all workers whose connection is open.
   *
   * @throws TypeError when the message cannot be serialised.
   */
  broadcast(message: unknown): void {
    this.#fleet.broadcast(message);
  }

  /**
   * The available worker with the lowest load (requests in flight / `maxConcurrentRequests`) that serves the model and,
   * if a category is given, is below its limit for it; the one registered first among equals. `null`: nobody.
   */
  getAvailableWorker(model: string, category?: string): WorkerInfo | null {
    return this.#fleet.select(model, category);
  }

  /** The first worker that is available or busy, in order of registration. */
  getAnyAvailableWorker(): WorkerInfo | null {
    return this.#fleet.selectAny();
  }

  /** Requests that the available workers for a model (and category) still take. Negative if they are over their limits. */
  getAvailableSlotCount(model: string, category?: string): number {
    return this.#fleet.freeSlots(model, category);
  }

  /** All registered workers, healthy or not. */
  getWorkerCount(): number {
    return this.pool.getCount();
  }

  /** Workers whose status is available. */
  getAvailableWorkerCount(): number {
    return this.pool.getAvailableCount();
  }

  /** All registered workers, in order of registration. */
  getWorkerInfo(): WorkerInfo[] {
    return this.pool.getWorkerInfoList();
  }

  /** Counts a request as in flight on a worker; at its capacity the worker becomes busy. Enforces no limit. */
  trackRequest(workerId: string, requestId: string, category?: string): void {
    this.#fleet.track(workerId, requestId, category);
  }

  /** Ends a request in flight, on whichever worker it is. */
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void {
    this.#fleet.release(requestId, options?.incrementCompleted === true);
  }

  /**
   * Adds a handler for HTTP requests. Handlers are asked in order until one answers true; what one throws is logged and
   * the next is asked. They stay when the server is stopped.
   */
  addHttpHandler(handler: HttpRequestHandler): void {
    this.#http.addHandler(handler);
  }

  /**
   * Serves WebSockets whose request target is `path`, with or without a query; an endpoint at exactly the target goes
   * first. The sockets are those of the `ws` package and no workers. `handler` also gets Node's request. The same path
   * again replaces the handler. `stop` closes the sockets and forgets the endpoint.
   */
  addWebSocketEndpoint(path: string, handler: WebSocketConnectionHandler): void {
    this.#http.addEndpoint(path, handler);
  }

  /**
   * Changes which tokens workers may show when they register from now on; who is registered stays. A server that was
   * made without `authToken` requires one from now on.
   *
   * @throws TypeError when it is neither a string nor a non-empty array of strings.
   */
  setAuthTokens(tokens: string | readonly string[]): void {
    this.#native.setAuthTokens(checkTokens("tokens", tokens));
  }

  /** What the server has counted: connections, refusals by reason, bytes dropped, and how late the event loop is. */
  stats(): ServerStats {
    const { connections, originsRefused, messagesInvalid, ...rest } = JSON.parse(
      binding.stats(this.#native.number),
    );
    return {
      connections,
      inFlight: this.#fleet.inFlight,
      ...rest,
      originsRefused: originsRefused + this.#http.originsRefused,
      messagesInvalid: messagesInvalid + this.#application.messagesInvalid,
      messagesUnhandled: this.#application.messagesUnhandled,
    };
  }
}
