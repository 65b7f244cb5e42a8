import type { DispatchRequest, WorkerMessage } from "../dispatch/types.js";
import type {
  HttpRequestHandler,
  ServerStats,
  StopOptions,
  WebSocketConnectionHandler,
  WorkerServerOptions,
} from "../types.js";
import { WorkerServer as FullWorkerServer } from "../worker-server.js";
import { forInfos } from "./snapshot-handlers.js";
import type {
  DispatchedRequest,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
} from "./types.js";

/**
 * A server to which workers connect by WebSocket, with one way to give them work: `dispatch` selects, sends and tracks.
 *
 * It runs on the server of the package's main entry, and narrows it to this API.
 *
 * @example
 * const server = new WorkerServer({ port: 19100 });
 * server.onWorkerMessage<{ type: "work_complete"; requestId: string; output: string }>("work_complete", (event) => {
 *   console.log(event.worker.name, event.message.output);
 *   event.complete();
 * });
 * await server.start();
 * const dispatched = server.dispatch({
 *   model: "sonnet",
 *   message: { type: "work_request", requestId: "req-1", input: "..." },
 * });
 * if (dispatched === null) console.log("nobody is free");
 */
export class WorkerServer {
  readonly #server: FullWorkerServer;

  /**
   * Opens nothing and logs nothing.
   *
   * @throws TypeError when an option is of a wrong type; its message names the option.
   */
  constructor(options: WorkerServerOptions) {
    this.#server = new FullWorkerServer(options);
  }

  /** The configured port before `start`, the bound one after it (kept after `stop`). */
  get port(): number {
    return this.#server.port;
  }

  /**
   * Listens on all interfaces; resolves when it does.
   *
   * @throws (rejects) Error "WorkerServer is already running" until `stop` was called; RangeError with code
   * ERR_SOCKET_BAD_PORT; an Error like Node's own (`code`, `errno`, `syscall`, `address`, `port`) when the port cannot be
   * had. After a failure it may be called again.
   */
  start(): Promise<void> {
    return this.#server.start();
  }

  /**
   * Closes all workers (1001 "Server shutting down"; their disconnected handlers are not called), stops listening, and
   * resolves when the last connection is gone. What has not ended by itself after `timeoutMs` (default 5,000) is dropped.
   * The same object can be started again.
   */
  stop(options?: StopOptions): Promise<void> {
    return this.#server.stop(options);
  }

  /** Calls `handler` for each worker that registers; returns the function that ends this. */
  onWorkerConnected(handler: WorkerConnectedHandler): () => void {
    return this.#server.onWorkerConnected(forInfos(handler));
  }

  /**
   * Calls `handler` for each worker that disconnects; what it left undone is in `worker.requests.pendingIds`. Not called
   * by `stop`, nor for a worker that was replaced by a new connection and had no requests in flight.
   */
  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void {
    return this.#server.onWorkerDisconnected(forInfos(handler));
  }

  /**
   * Calls `handler` for each message of that type with a frozen event; what it throws is logged. All handlers get the
   * same event, so that two of them end a request once.
   */
  onWorkerMessage<T extends { type: string } = WorkerMessage>(
    type: string,
    handler: WorkerMessageHandler<T>,
  ): () => void {
    return this.#server.onWorkerEvent(type, handler as never);
  }

  /**
   * Sends a message as JSON to all workers whose connection is open.
   *
   * @throws TypeError when the message cannot be serialised.
   */
  broadcast(message: unknown): void {
    this.#server.broadcast(message);
  }

  /**
   * Sends a message to the least loaded worker that is available, has the model and is below its limit for the category;
   * among equally loaded ones to the first in the order of `id.localeCompare`, and if that one does not take it to the
   * next. The message's `requestId` is tracked on the worker that took it, until the result's `complete` or `fail`, or
   * those of a message about that request. `null`: nobody took it.
   *
   * @throws TypeError without a message, or when the model is no string.
   */
  dispatch<T extends { type: string; requestId: string }>(
    request: DispatchRequest<T>,
  ): DispatchedRequest<T> | null {
    // The same object; only the type of a status differs.
    return this.#server.dispatch(request) as unknown as DispatchedRequest<T> | null;
  }

  /** All registered workers, in order of registration, as snapshots that do not change. */
  listWorkers(): WorkerInfo[] {
    return this.#server.listWorkers() as unknown as WorkerInfo[];
  }

  /** Requests that the available workers for a model (and category) still take. */
  availableSlots(model: string, category?: string): number {
    return this.#server.availableSlots(model, category);
  }

  /**
   * Adds a handler for HTTP requests. Handlers are asked in order until one answers true; what one throws is logged and
   * the next is asked. They stay when the server is stopped.
   */
  addHttpHandler(handler: HttpRequestHandler): void {
    this.#server.addHttpHandler(handler);
  }

  /**
   * Serves WebSockets whose request target is exactly `path`; they are sockets of the `ws` package and no workers. The
   * same path again replaces the handler. `stop` closes them and forgets the endpoint.
   */
  addWebSocketEndpoint(path: string, handler: WebSocketConnectionHandler): void {
    this.#server.addWebSocketEndpoint(path, handler);
  }

  /**
   * Changes which tokens workers may show when they register from now on; who is registered stays. A server that was
   * made without `authToken` requires one from now on.
   *
   * @throws TypeError when it is neither a string nor a non-empty array of strings.
   */
  setAuthTokens(tokens: string | readonly string[]): void {
    this.#server.setAuthTokens(tokens);
  }

  /** What the server has counted: connections, refusals by reason, bytes dropped, and how late the event loop is. */
  stats(): ServerStats {
    return this.#server.stats();
  }
}
