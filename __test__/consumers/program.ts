/* A user's program, whatever the format of its modules. */
import {
  type HttpRequestHandler,
  type WorkerInfo,
  type WorkerMessageHandler,
  WorkerServer,
  type WorkerServerOptions,
  WorkerStatus,
} from "@hardlydifficult/worker-server";

interface Done {
  type: "done";
  requestId: string;
}

const options: WorkerServerOptions = { port: 19100, authToken: "secret-token" };
export const server = new WorkerServer(options);

export const unsubscribe: () => void = server.onWorkerMessage<Done>("done", (worker, message) => {
  if (worker.status !== WorkerStatus.Unhealthy) server.releaseRequest(message.requestId);
});

export const handler: HttpRequestHandler = async (request, response) => {
  if (request.url !== "/hello") return false;
  response.writeHead(200, { "Content-Type": "text/plain" }).end("hello");
  return true;
};
server.addHttpHandler(handler);
server.addWebSocketEndpoint("/events", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

/** What is used of the server, so that a test needs no more. */
type Dispatching = Pick<
  WorkerServer,
  | "onWorkerMessage"
  | "onWorkerConnected"
  | "onWorkerDisconnected"
  | "send"
  | "broadcast"
  | "getAvailableWorker"
  | "getWorkerInfo"
  | "trackRequest"
  | "releaseRequest"
  | "addHttpHandler"
  | "addWebSocketEndpoint"
  | "start"
  | "stop"
>;

/** A double of the server, as users write it for version 1. */
export class FakeServer implements Dispatching {
  readonly sent: Record<string, unknown>[] = [];
  readonly #handlers = new Map<string, WorkerMessageHandler>();

  onWorkerMessage<T = any>(type: string, messageHandler: WorkerMessageHandler<T>): () => void {
    this.#handlers.set(type, messageHandler);
    return () => this.#handlers.delete(type);
  }
  onWorkerConnected(): () => void {
    return () => {};
  }
  onWorkerDisconnected(_handler: (worker: WorkerInfo, pending: ReadonlySet<string>) => void): () => void {
    return () => {};
  }
  send(_workerId: string, message: Record<string, unknown>): boolean {
    return this.sent.push(message) > 0;
  }
  broadcast(message: Record<string, unknown>): void {
    this.sent.push(message);
  }
  getAvailableWorker(_model: string, _category?: string): WorkerInfo | null {
    return worker;
  }
  getWorkerInfo(): WorkerInfo[] {
    return [worker];
  }
  trackRequest(_workerId: string, _requestId: string, _category?: string): void {}
  releaseRequest(_requestId: string, _options?: { incrementCompleted?: boolean }): void {}
  addHttpHandler(_handler: HttpRequestHandler): void {}
  addWebSocketEndpoint(): void {}
  async start(): Promise<void> {}
  async stop(): Promise<void> {}
}

/** An info made by hand has the fields of version 1 and needs no more. */
export const worker: WorkerInfo = {
  id: "w",
  name: "W",
  status: WorkerStatus.Available,
  capabilities: { models: [], maxConcurrentRequests: 1 },
  sessionId: "s",
  connectedAt: new Date(0),
  lastHeartbeat: new Date(0),
  activeRequests: 0,
  completedRequests: 0,
  pendingRequestIds: new Set(),
  categoryActiveRequests: new Map(),
};

export function dispatch(on: Dispatching, requestId: string): boolean {
  const free = on.getAvailableWorker("sonnet", "inference");
  if (free === null) return false;
  on.trackRequest(free.id, requestId, "inference");
  return on.send(free.id, { type: "work_request", requestId });
}

export const dispatched: boolean[] = [dispatch(server, "1"), dispatch(new FakeServer(), "2")];

// @ts-expect-error the port is needed
void new WorkerServer({});
// @ts-expect-error there is no such method
server.noSuchMethod();
