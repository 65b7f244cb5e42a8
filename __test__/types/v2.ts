/*
 * The dispatch API under its own entry: what must compile and what must not.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import { expectTypeOf } from "expect-type";
import type * as root from "../../index.js";
import {
  WorkerServer,
  WorkerStatus,
  type DispatchedRequest,
  type DispatchRequest,
  type ModelInfo,
  type ServerStats,
  type WorkerCapabilities,
  type WorkerConnectedHandler,
  type WorkerDisconnectedHandler,
  type WorkerInfo,
  type WorkerMessage,
  type WorkerMessageEvent,
  type WorkerMessageHandler,
  type WorkerRequests,
  type WorkerServerLogger,
  type WorkerServerOptions,
} from "../../v2.js";

interface Done {
  type: "work_complete";
  requestId: string;
  output: string;
}

declare const server: WorkerServer;
declare const worker: WorkerInfo;

export function members(): void {
  expectTypeOf<keyof WorkerServer>().toEqualTypeOf<
    | "start"
    | "stop"
    | "port"
    | "onWorkerConnected"
    | "onWorkerDisconnected"
    | "onWorkerMessage"
    | "broadcast"
    | "dispatch"
    | "listWorkers"
    | "availableSlots"
    | "addHttpHandler"
    | "addWebSocketEndpoint"
    | "setAuthTokens"
    | "stats"
  >();
  // @ts-expect-error dispatch sends
  server.send("worker-1", { type: "stop" });
  // @ts-expect-error and tracks
  server.trackRequest("worker-1", "req-1");
  // @ts-expect-error and selects
  server.getAvailableWorker("sonnet");
}

export async function lifecycle(): Promise<void> {
  expectTypeOf<WorkerServerOptions>().toEqualTypeOf<root.WorkerServerOptions>();
  expectTypeOf(server.stats()).toEqualTypeOf<ServerStats>();
  expectTypeOf<ServerStats>().toEqualTypeOf<root.ServerStats>();
  expectTypeOf(server.setAuthTokens).toEqualTypeOf<(tokens: string | readonly string[]) => void>();
  expectTypeOf<WorkerServerLogger>().toEqualTypeOf<root.WorkerServerLogger>();
  new WorkerServer({ port: 0, logger: console });
  // @ts-expect-error the options are required
  new WorkerServer();
  expectTypeOf(server.start()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(server.stop()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(server.port).toEqualTypeOf<number>();
  // @ts-expect-error the port is told, not set
  server.port = 1;
}

export function handlers(): void {
  expectTypeOf(
    server.onWorkerConnected((connected) => expectTypeOf(connected).toEqualTypeOf<WorkerInfo>()),
  ).toEqualTypeOf<() => void>();
  server.onWorkerDisconnected((gone) => {
    expectTypeOf(gone.requests.pendingIds.length).toEqualTypeOf<number>();
  });
  // @ts-expect-error the ids are in the worker
  server.onWorkerDisconnected((_gone, _pending) => {});
  // @ts-expect-error the message is in the event
  server.onWorkerMessage("work_complete", (_worker, _message) => {});

  server.onWorkerMessage<Done>("work_complete", (event) => {
    expectTypeOf(event).toEqualTypeOf<WorkerMessageEvent<Done>>();
    expectTypeOf(event.message.output).toEqualTypeOf<string>();
    expectTypeOf(event.worker).toEqualTypeOf<WorkerInfo>();
    expectTypeOf(event.requestId).toEqualTypeOf<string | null>();
    expectTypeOf(event.complete()).toEqualTypeOf<void>();
    expectTypeOf(event.fail()).toEqualTypeOf<void>();
  });
  server.onWorkerMessage<{ type: "worker_status"; status: string }>("worker_status", ({ message }) => {
    expectTypeOf(message.status).toEqualTypeOf<string>();
  });
  server.onWorkerMessage("work_complete", ({ message }) => void [message.type, message["output"]]);
  server.onWorkerMessage("work_complete", ({ message }: WorkerMessageEvent<Done>) => void message.output);
  // @ts-expect-error every message has a type
  server.onWorkerMessage<{ requestId: string }>("work_complete", () => {});

  const connected: WorkerConnectedHandler = (info) => void info.id;
  const disconnected: WorkerDisconnectedHandler = (info) => void info.id;
  const message: WorkerMessageHandler<Done> = (event) => event.complete();
  const anyMessage: WorkerMessageHandler = (event) => void event.message.requestId;
  server.onWorkerConnected(connected);
  server.onWorkerDisconnected(disconnected);
  server.onWorkerMessage("work_complete", message);
  server.onWorkerMessage("work_complete", anyMessage);
}

export function dispatching(): void {
  const handle = server.dispatch({
    model: "sonnet",
    category: "local",
    message: { type: "work_request", requestId: "req-1", input: "text" },
  });
  // @ts-expect-error there may be nobody
  void handle.worker;
  if (handle === null) return;
  expectTypeOf(handle.worker).toEqualTypeOf<WorkerInfo>();
  expectTypeOf(handle.message.input).toEqualTypeOf<string>();
  expectTypeOf(handle.requestId).toEqualTypeOf<string>();
  const kept: DispatchedRequest = handle;
  kept.complete();
  // @ts-expect-error a message is needed
  server.dispatch({ model: "sonnet" });
  // @ts-expect-error and in it a request id
  server.dispatch({ message: { type: "work_request" } });
}

export function queries(): void {
  expectTypeOf(server.listWorkers()).toEqualTypeOf<WorkerInfo[]>();
  expectTypeOf(server.availableSlots).parameters.toEqualTypeOf<[model: string, category?: string]>();
  expectTypeOf(server.availableSlots("sonnet", "local")).toEqualTypeOf<number>();
  expectTypeOf(server.broadcast({ type: "shutdown" })).toEqualTypeOf<void>();
}

export function workerInfo(): void {
  expectTypeOf<keyof WorkerInfo>().toEqualTypeOf<
    "id" | "name" | "status" | "capabilities" | "sessionId" | "connectedAt" | "lastHeartbeat" | "requests"
  >();
  expectTypeOf(worker.requests).toEqualTypeOf<WorkerRequests>();
  expectTypeOf<WorkerRequests>().toEqualTypeOf<{
    readonly active: number;
    readonly completed: number;
    readonly pendingIds: readonly string[];
    readonly activeByCategory: Readonly<Record<string, number>>;
  }>();
  expectTypeOf(worker.capabilities).toEqualTypeOf<WorkerCapabilities>();
  expectTypeOf(worker.capabilities.models).toEqualTypeOf<readonly ModelInfo[]>();
  expectTypeOf(worker.connectedAt).toEqualTypeOf<Date>();
  // @ts-expect-error frozen
  worker.requests.pendingIds.push("req-1");
  // @ts-expect-error that is version 1
  void worker.pendingRequestIds;
}

export function status(): void {
  expectTypeOf<`${WorkerStatus}`>().toEqualTypeOf<"available" | "busy" | "unhealthy">();
  expectTypeOf<keyof typeof WorkerStatus>().toEqualTypeOf<"Available" | "Busy" | "Unhealthy">();
  switch (worker.status) {
    case WorkerStatus.Available:
    case WorkerStatus.Busy:
    case WorkerStatus.Unhealthy:
      break;
    default:
      expectTypeOf(worker.status).toBeNever();
  }
  // @ts-expect-error there is no such status
  void WorkerStatus.Draining;
}

/** Doubles of the server that consumers write for their tests. */
export class Fake implements Pick<
  WorkerServer,
  "dispatch" | "listWorkers" | "availableSlots" | "onWorkerMessage" | "onWorkerDisconnected" | "broadcast"
> {
  dispatch<T extends WorkerMessage & { requestId: string }>(
    request: DispatchRequest<T>,
  ): DispatchedRequest<T> | null {
    const { message } = request;
    return { worker, message, requestId: message.requestId, complete() {}, fail() {} };
  }
  listWorkers(): WorkerInfo[] {
    const requests = { active: 0, completed: 0, pendingIds: [], activeByCategory: {} };
    return [
      {
        id: "worker-1",
        name: "Worker One",
        status: WorkerStatus.Available,
        capabilities: { models: [], maxConcurrentRequests: 1 },
        sessionId: "session",
        connectedAt: new Date(),
        lastHeartbeat: new Date(),
        requests,
      },
    ];
  }
  availableSlots(_model: string, _category?: string): number {
    return 1;
  }
  onWorkerMessage<T extends WorkerMessage>(_type: string, handler: WorkerMessageHandler<T>): () => void {
    return () => void handler;
  }
  onWorkerDisconnected(_handler: WorkerDisconnectedHandler): () => void {
    return () => {};
  }
  broadcast(_message: Record<string, unknown>): void {}
}

/** Consumers extend the class, too. */
export class Subclass extends WorkerServer {
  override listWorkers(): WorkerInfo[] {
    return super.listWorkers().filter((listed) => listed.status === WorkerStatus.Available);
  }
}
