/*
 * What must compile and what must not, for programs written for version 1 of the API.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import { expectTypeOf } from "expect-type";
import {
  WorkerServer,
  WorkerStatus,
  safeCompare,
  toWorkerInfo,
  type ConnectedWorker,
  type PoolWorker,
  type ModelInfo,
  type WorkerCapabilities,
  type WorkerConnectedHandler,
  type WorkerDisconnectedHandler,
  type WorkerInfo,
  type WorkerMessageHandler,
  type WorkerServerLogger,
  type WorkerServerOptions,
} from "../../index.js";

/** The parameters and the result of a method of the server. */
type Method<Name extends keyof WorkerServer> = WorkerServer[Name] extends (
  ...args: infer Args
) => infer Result
  ? { args: Args; result: Result }
  : never;

declare const server: WorkerServer;
declare const worker: WorkerInfo;

export function options(): void {
  expectTypeOf<WorkerServerOptions["port"]>().toEqualTypeOf<number>();
  expectTypeOf<WorkerServerOptions["authToken"]>().toEqualTypeOf<string | undefined>();
  expectTypeOf<WorkerServerOptions["heartbeatTimeoutMs"]>().toEqualTypeOf<number | undefined>();
  expectTypeOf<WorkerServerOptions["healthCheckIntervalMs"]>().toEqualTypeOf<number | undefined>();
  expectTypeOf<WorkerServerOptions["heartbeatIntervalMs"]>().toEqualTypeOf<number | undefined>();
  expectTypeOf<WorkerServerOptions["logger"]>().toEqualTypeOf<WorkerServerLogger | undefined>();

  new WorkerServer({ port: 0 });
  new WorkerServer({
    port: 0,
    authToken: "t",
    heartbeatTimeoutMs: 1,
    healthCheckIntervalMs: 1,
    heartbeatIntervalMs: 1,
  });
  new WorkerServer({ port: 0, logger: console });
  // @ts-expect-error the options are required
  new WorkerServer();
  // @ts-expect-error so is the port
  new WorkerServer({ authToken: "t" });
  // @ts-expect-error a port is a number
  new WorkerServer({ port: "8080" });
  // @ts-expect-error a misspelt option is an error
  new WorkerServer({ port: 0, heartbeatTimeout: 1 });
  // @ts-expect-error a logger has all four levels
  new WorkerServer({ port: 0, logger: { info() {} } });
  // @ts-expect-error a class is made with `new`
  WorkerServer({ port: 0 });
}

export function loggers(): void {
  type Log = (message: string, context?: Record<string, unknown>) => void;
  expectTypeOf<WorkerServerLogger["debug"]>().toEqualTypeOf<Log>();
  expectTypeOf<WorkerServerLogger["info"]>().toEqualTypeOf<Log>();
  expectTypeOf<WorkerServerLogger["warn"]>().toEqualTypeOf<Log>();
  expectTypeOf<WorkerServerLogger["error"]>().toEqualTypeOf<Log>();
}

export async function lifecycle(): Promise<void> {
  expectTypeOf(server.start()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(server.stop()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(server.port).toEqualTypeOf<number>();
  // @ts-expect-error the port is told, not set
  server.port = 1;
}

export function handlers(): void {
  const unsubscribe = server.onWorkerConnected((connected) =>
    expectTypeOf(connected).toEqualTypeOf<WorkerInfo>(),
  );
  expectTypeOf(unsubscribe).toEqualTypeOf<() => void>();

  expectTypeOf(
    server.onWorkerDisconnected((gone, pending) => {
      expectTypeOf(gone).toEqualTypeOf<WorkerInfo>();
      expectTypeOf(pending).toEqualTypeOf<ReadonlySet<string>>();
    }),
  ).toEqualTypeOf<() => void>();

  expectTypeOf(
    server.onWorkerMessage("work_complete", (sender, message) => {
      expectTypeOf(sender).toEqualTypeOf<WorkerInfo>();
      const { requestId, result } = message;
      return void [requestId, result];
    }),
  ).toEqualTypeOf<() => void>();

  // Who knows what a worker sends can say so.
  server.onWorkerMessage<{ requestId: string }>("work_complete", (_sender, message) => {
    expectTypeOf(message).toEqualTypeOf<{ requestId: string }>();
  });
  server.onWorkerMessage("work_complete", (_sender, { requestId }: { requestId: string }) => void requestId);

  // A handler may leave out what it does not need.
  server.onWorkerConnected(() => {});
  server.onWorkerDisconnected((gone) => void gone.name);
  server.onWorkerMessage("a", () => {});
  server.onWorkerMessage("a", (sender) => void sender.id);

  // @ts-expect-error a handler without a type of message
  server.onWorkerMessage(() => {});
  // @ts-expect-error the type of a message is a string
  server.onWorkerMessage(1, () => {});
  // @ts-expect-error a handler is a function
  server.onWorkerConnected("handler");
  // @ts-expect-error pending request ids are strings
  server.onWorkerDisconnected((_gone, pending: ReadonlySet<number>) => void pending);
}

export function handlerTypes(): void {
  expectTypeOf<Parameters<WorkerConnectedHandler>>().toEqualTypeOf<[worker: WorkerInfo]>();
  expectTypeOf<Parameters<WorkerDisconnectedHandler>>().toEqualTypeOf<
    [worker: WorkerInfo, pendingRequestIds: ReadonlySet<string>]
  >();
  expectTypeOf<Parameters<WorkerMessageHandler>[0]>().toEqualTypeOf<WorkerInfo>();
  expectTypeOf<Parameters<WorkerMessageHandler>["length"]>().toEqualTypeOf<2>();
  expectTypeOf<Parameters<WorkerMessageHandler<{ a: 1 }>>[1]>().toEqualTypeOf<{ a: 1 }>();

  const connected: WorkerConnectedHandler = (info) => void info.id;
  const disconnected: WorkerDisconnectedHandler = (info, pending) => void [info.id, pending.size];
  const message: WorkerMessageHandler = (info, body) => void [info.id, body];
  server.onWorkerConnected(connected);
  server.onWorkerDisconnected(disconnected);
  server.onWorkerMessage("a", message);
}

export function sending(): void {
  expectTypeOf(server.send("worker-1", { type: "stop", reason: "shutdown" })).toEqualTypeOf<boolean>();
  expectTypeOf(server.broadcast({ type: "maintenance_start" })).toEqualTypeOf<void>();
  // @ts-expect-error a worker's id is a string
  server.send(1, { type: "stop" });
  // @ts-expect-error a message is needed
  server.send("worker-1");
}

export function queries(): void {
  type Query = [model: string, category?: string];
  expectTypeOf<Method<"getAvailableWorker">["args"]>().toEqualTypeOf<Query>();
  expectTypeOf<Method<"getAvailableSlotCount">["args"]>().toEqualTypeOf<Query>();

  const found = server.getAvailableWorker("sonnet-3.5");
  // @ts-expect-error there may be none
  void found.id;
  if (found) {
    expectTypeOf(found.id).toEqualTypeOf<string>();
    server.trackRequest(found.id, "req-123", "inference");
  }
  expectTypeOf(server.getAvailableWorker("sonnet", "inference")).toEqualTypeOf<typeof found>();
  expectTypeOf(server.getAnyAvailableWorker()).toEqualTypeOf<typeof found>();
  expectTypeOf<null>().toExtend<typeof found>();
  expectTypeOf<undefined>().not.toExtend<typeof found>();

  expectTypeOf(server.getAvailableSlotCount("sonnet", "local")).toEqualTypeOf<number>();
  expectTypeOf(server.getWorkerCount()).toEqualTypeOf<number>();
  expectTypeOf(server.getAvailableWorkerCount()).toEqualTypeOf<number>();
  expectTypeOf(server.getWorkerInfo()).toEqualTypeOf<WorkerInfo[]>();
  // @ts-expect-error the model is required
  server.getAvailableWorker();
}

export function tracking(): void {
  // Exactly `void`: a consumer's stand-in that returns nothing has to fit.
  expectTypeOf(server.trackRequest("worker-1", "req-123")).toEqualTypeOf<void>();
  expectTypeOf(server.trackRequest("worker-1", "req-123", "inference")).toEqualTypeOf<void>();
  expectTypeOf(server.releaseRequest("req-123")).toEqualTypeOf<void>();
  expectTypeOf(server.releaseRequest("req-123", {})).toEqualTypeOf<void>();
  expectTypeOf(server.releaseRequest("req-123", { incrementCompleted: true })).toEqualTypeOf<void>();
  // @ts-expect-error a request id is needed
  server.trackRequest("worker-1");
  // @ts-expect-error a misspelt option is an error
  server.releaseRequest("req-123", { completed: true });
}

export function workerInfo(): void {
  expectTypeOf<WorkerInfo>().toEqualTypeOf<{
    readonly id: string;
    readonly name: string;
    readonly status: WorkerStatus;
    readonly capabilities: WorkerCapabilities;
    readonly sessionId: string;
    readonly connectedAt: Date;
    readonly lastHeartbeat: Date;
    readonly activeRequests: number;
    readonly completedRequests: number;
    readonly pendingRequestIds: ReadonlySet<string>;
    readonly categoryActiveRequests: ReadonlyMap<string, number>;
  }>();
  // @ts-expect-error told, not set
  worker.status = WorkerStatus.Draining;
  // @ts-expect-error told, not edited
  worker.pendingRequestIds.add("req-1");
}

export function capabilities(): void {
  expectTypeOf<WorkerCapabilities>().toEqualTypeOf<{
    models: ModelInfo[];
    maxConcurrentRequests: number;
    metadata?: Record<string, unknown>;
    concurrencyLimits?: Record<string, number>;
  }>();
  expectTypeOf<ModelInfo>().toEqualTypeOf<{
    modelId: string;
    displayName: string;
    maxContextTokens: number;
    maxOutputTokens: number;
    supportsStreaming: boolean;
    supportsVision?: boolean;
    supportsTools?: boolean;
  }>();
  // @ts-expect-error a model needs more than its id
  const tooLittle: WorkerCapabilities = { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 1 };
  return void tooLittle;
}

export function status(): void {
  // An enum: its members are types too, a plain string is not one of them, and its object can be walked.
  expectTypeOf<WorkerStatus.Available>().toExtend<WorkerStatus>();
  expectTypeOf(WorkerStatus.Available).toExtend<string>();
  expectTypeOf<"available">().not.toExtend<WorkerStatus>();
  expectTypeOf<`${WorkerStatus}`>().toEqualTypeOf<"available" | "busy" | "draining" | "unhealthy">();
  expectTypeOf<keyof typeof WorkerStatus>().toEqualTypeOf<"Available" | "Busy" | "Draining" | "Unhealthy">();
  expectTypeOf(Object.values(WorkerStatus)).toExtend<WorkerStatus[]>();
  switch (worker.status) {
    case WorkerStatus.Available:
    case WorkerStatus.Busy:
    case WorkerStatus.Draining:
    case WorkerStatus.Unhealthy:
      break;
    default:
      expectTypeOf(worker.status).toBeNever();
  }
  // @ts-expect-error there is no such status
  void WorkerStatus.Gone;
}

export function functions(): void {
  expectTypeOf(safeCompare).toEqualTypeOf<(a: string, b: string) => boolean>();
  expectTypeOf(toWorkerInfo).returns.toEqualTypeOf<WorkerInfo>();
  expectTypeOf(toWorkerInfo).parameters.toEqualTypeOf<[worker: PoolWorker]>();
}

/** A connected worker is live: what it holds may be changed by hand. */
export function connectedWorker(connected: ConnectedWorker): void {
  expectTypeOf<Exclude<keyof WorkerInfo, keyof ConnectedWorker>>().toEqualTypeOf<"pendingRequestIds">();
  connected.status = WorkerStatus.Draining;
  connected.activeRequests = 1;
  connected.capabilities = { models: [], maxConcurrentRequests: 1 };
  connected.pendingRequests.add("req-1");
  connected.categoryActiveRequests.set("inference", 1);
  expectTypeOf(connected.id).toEqualTypeOf<string>();
}

/** Doubles of the server that consumers write for their tests. */
export class Fake implements Pick<
  WorkerServer,
  "onWorkerMessage" | "send" | "trackRequest" | "releaseRequest"
> {
  onWorkerMessage(_type: string, _handler: WorkerMessageHandler): () => void {
    return () => {};
  }
  send(_workerId: string, _message: Record<string, unknown>): boolean {
    return true;
  }
  trackRequest(_workerId: string, _requestId: string, _category?: string): void {}
  releaseRequest(_requestId: string, _options?: { incrementCompleted?: boolean }): void {}
}

/** Consumers extend the class, too. */
export class Subclass extends WorkerServer {
  override send(workerId: string, message: Record<string, unknown>): boolean {
    return super.send(workerId, message);
  }
}
