/*
 * The dispatch API on the class of the main entry: what must compile and what must not. That the types of version 1
 * stay as they are is checked in worker-server.ts.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import { expectTypeOf } from "expect-type";
import {
  type DispatchedRequest,
  type DispatchRequest,
  type WorkerEventHandler,
  type WorkerInfo,
  type WorkerMessage,
  type WorkerMessageEvent,
  type WorkerMessageHandler,
  type WorkerServer,
  type WorkerSnapshot,
  type WorkerStatus,
} from "../../index.js";

interface Work {
  type: "work_request";
  requestId: string;
  input: string;
}

declare const server: WorkerServer;

export function dispatch(): void {
  const message: Work = { type: "work_request", requestId: "req-1", input: "text" };
  const handle = server.dispatch({ model: "sonnet", category: "inference", message });
  expectTypeOf(handle).toEqualTypeOf<DispatchedRequest<Work> | null>();
  // @ts-expect-error there may be nobody
  void handle.worker;
  if (handle) {
    expectTypeOf(handle.message).toEqualTypeOf<Work>();
    expectTypeOf(handle.worker).toEqualTypeOf<WorkerSnapshot>();
    expectTypeOf(handle.requestId).toEqualTypeOf<string>();
    expectTypeOf(handle.complete).toEqualTypeOf<() => void>();
    expectTypeOf(handle.fail()).toEqualTypeOf<void>();
    // @ts-expect-error told, not set
    handle.requestId = "req-2";
  }
  server.dispatch({ message: { type: "work_request", requestId: "req-1", anything: [1] } });
  server.dispatch({ model: undefined, message });
  const request: DispatchRequest = { message: { type: "a", requestId: "b", more: 1 } };
  server.dispatch(request);

  // @ts-expect-error a message is needed
  server.dispatch({ model: "sonnet" });
  // @ts-expect-error and in it a request id
  server.dispatch({ message: { type: "work_request" } });
  // @ts-expect-error and a type
  server.dispatch({ message: { requestId: "req-1" } });
  // @ts-expect-error a misspelt field is an error
  server.dispatch({ modle: "sonnet", message });
}

export function queries(): void {
  expectTypeOf(server.listWorkers()).toEqualTypeOf<WorkerSnapshot[]>();
  expectTypeOf(server.availableSlots).parameters.toEqualTypeOf<[model: string, category?: string]>();
  expectTypeOf(server.availableSlots("sonnet")).toEqualTypeOf<number>();
}

export function events(): void {
  const unsubscribe = server.onWorkerEvent("done", (event) => {
    expectTypeOf(event).toEqualTypeOf<WorkerMessageEvent>();
    expectTypeOf(event.worker).toEqualTypeOf<WorkerSnapshot>();
    expectTypeOf(event.requestId).toEqualTypeOf<string | null>();
    return void event.message["output"];
  });
  expectTypeOf(unsubscribe).toEqualTypeOf<() => void>();
  server.onWorkerEvent<Work>("done", (event) => expectTypeOf(event.message).toEqualTypeOf<Work>());
  server.onWorkerEvent("done", (event: WorkerMessageEvent<Work>) => void event.message.input);
  server.onWorkerEvent("done", () => {});
  // @ts-expect-error a handler of events has one parameter
  server.onWorkerEvent("done", (_event, _message) => {});
  // @ts-expect-error handlers of version 1 get an info, which says nothing of its event
  server.onWorkerMessage("done", (worker) => worker.complete());
}

export function snapshots(worker: WorkerSnapshot): void {
  expectTypeOf(worker.status).toEqualTypeOf<WorkerStatus>();
  expectTypeOf(worker.requests.pendingIds).toEqualTypeOf<readonly string[]>();
  expectTypeOf(worker.requests.activeByCategory).toEqualTypeOf<Readonly<Record<string, number>>>();
  // @ts-expect-error frozen
  worker.capabilities.models.length = 0;
  // @ts-expect-error frozen
  worker.requests.active = 1;
  // @ts-expect-error a snapshot is no info of version 1
  const info: WorkerInfo = worker;
  return void info;
}

/** Doubles of the server that consumers write for their tests. */
export class Fake implements Pick<
  WorkerServer,
  "dispatch" | "listWorkers" | "availableSlots" | "onWorkerEvent" | "onWorkerMessage"
> {
  dispatch<T extends { type: string; requestId: string }>(
    _request: DispatchRequest<T>,
  ): DispatchedRequest<T> | null {
    return null;
  }
  listWorkers(): WorkerSnapshot[] {
    return [];
  }
  availableSlots(_model: string): number {
    return 0;
  }
  onWorkerEvent(_type: string, _handler: WorkerEventHandler<any>): () => void {
    return () => {};
  }
  onWorkerMessage(_type: string, _handler: WorkerMessageHandler): () => void {
    return () => {};
  }
}

/** The same, constrained as the documentation of the dispatch API writes it. */
export class DocumentedFake implements Pick<WorkerServer, "dispatch"> {
  dispatch<T extends WorkerMessage & { requestId: string }>(
    _request: DispatchRequest<T>,
  ): DispatchedRequest<T> | null {
    return null;
  }
}
