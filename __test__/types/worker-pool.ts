/* What must compile and what must not, for the classes that programs put together themselves. */
import { EventEmitter } from "node:events";
import { expectTypeOf } from "expect-type";
import { WebSocketServer, type WebSocket } from "ws";
import {
  ConnectionHandler,
  WorkerPool,
  WorkerStatus,
  type ConnectedWorker,
  type ConnectionHandlerConfig,
  type WorkerInfo,
  type WorkerServer,
  type WorkerServerLogger,
} from "../../index.js";

declare const worker: ConnectedWorker;
declare const webSocket: WebSocket;
declare const logger: WorkerServerLogger;
declare const server: WorkerServer;

export function pools(): void {
  new WorkerPool(logger);
  const pool = new WorkerPool();
  expectTypeOf(pool.add(worker)).toEqualTypeOf<void>();
  pool.add({ ...worker, websocket: webSocket });
  pool.add({ ...worker, websocket: { readyState: 1, send() {}, close() {} } });
  // @ts-expect-error a socket can be closed
  pool.add({ ...worker, websocket: { readyState: 1, send() {} } });
  expectTypeOf(pool.get("a")).toEqualTypeOf<ConnectedWorker | undefined>();
  expectTypeOf(pool.remove("a")).toEqualTypeOf<ConnectedWorker | undefined>();
  expectTypeOf(pool.has("a")).toEqualTypeOf<boolean>();
  expectTypeOf(pool.values()).toEqualTypeOf<IterableIterator<ConnectedWorker>>();
  expectTypeOf(pool.getAvailableWorker("m")).toEqualTypeOf<ConnectedWorker | null>();
  expectTypeOf(pool.getAvailableWorker("m", "category")).toEqualTypeOf<ConnectedWorker | null>();
  expectTypeOf(pool.getAnyAvailableWorker()).toEqualTypeOf<ConnectedWorker | null>();
  expectTypeOf(pool.getAvailableSlotCount("m", "category")).toEqualTypeOf<number>();
  expectTypeOf(pool.getCount()).toEqualTypeOf<number>();
  expectTypeOf(pool.getAvailableCount()).toEqualTypeOf<number>();
  expectTypeOf(pool.getWorkerInfoList()).toEqualTypeOf<WorkerInfo[]>();
  expectTypeOf(pool.trackRequest("a", "r", "category")).toEqualTypeOf<void>();
  expectTypeOf(pool.releaseRequest("r", { incrementCompleted: true })).toEqualTypeOf<void>();
  expectTypeOf(pool.checkHealth(60_000)).toEqualTypeOf<string[]>();
  expectTypeOf(pool.send("a", { type: "x" })).toEqualTypeOf<boolean>();
  expectTypeOf(pool.broadcast({ type: "x" })).toEqualTypeOf<void>();
  expectTypeOf(pool.closeAll()).toEqualTypeOf<void>();
  pool.get("a")!.status = WorkerStatus.Draining;
  // @ts-expect-error a pool belongs to nobody but who made it
  server.pool.getCount();
}

export function connectionHandlers(pool: WorkerPool): void {
  const config: ConnectionHandlerConfig = {
    authToken: "t",
    heartbeatTimeoutMs: 1,
    heartbeatIntervalMs: 1,
  };
  new ConnectionHandler(pool, {});
  new ConnectionHandler(pool, config, logger);
  new ConnectionHandler(pool, config, () => ({ complete() {}, fail() {} }), logger);
  // @ts-expect-error a config is needed
  new ConnectionHandler(pool);
  // @ts-expect-error a misspelt option is an error
  new ConnectionHandler(pool, { heartbeatTimeout: 1 });

  const handler = new ConnectionHandler(pool, config);
  handler.handleConnection(webSocket);
  handler.handleConnection(Object.assign(new EventEmitter(), { readyState: 1, send() {}, close() {} }));
  new WebSocketServer({ noServer: true }).on("connection", (socket) => handler.handleConnection(socket));
  const unsubscribe = handler.onMessage<{ requestId: string }>("done", (info, message) => {
    expectTypeOf(info).toEqualTypeOf<WorkerInfo>();
    expectTypeOf(message.requestId).toEqualTypeOf<string>();
  });
  expectTypeOf(unsubscribe).toEqualTypeOf<() => void>();
  expectTypeOf(handler.onWorkerConnected(() => {})).toEqualTypeOf<() => void>();
  handler.onWorkerDisconnected((_info, pending) => {
    expectTypeOf(pending).toEqualTypeOf<ReadonlySet<string>>();
  });
  // @ts-expect-error how frames come in is its own affair
  handler.handleMessage(webSocket, "{}");
}
