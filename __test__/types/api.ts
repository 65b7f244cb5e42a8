/*
 * The complete lists of what both APIs export, with the shapes that programs written for the originals rely on. A name that is
 * missing does not compile, nor does a shape that is not assignable in both directions.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { expectTypeOf } from "expect-type";
import type { WebSocket } from "ws";
import * as root from "../../index.js";
import * as v2 from "../../v2.js";

/** Each is assignable to the other, so that code that was given or that gives one of them compiles. */
declare function interchangeable<A, B extends A>(isSo: [A] extends [B] ? true : false): void;

/* Version 1. */

interface Model {
  modelId: string;
  displayName: string;
  maxContextTokens: number;
  maxOutputTokens: number;
  supportsStreaming: boolean;
  supportsVision?: boolean;
  supportsTools?: boolean;
}

interface Capabilities {
  models: Model[];
  maxConcurrentRequests: number;
  metadata?: Record<string, unknown>;
  concurrencyLimits?: Record<string, number>;
}

interface Info {
  readonly id: string;
  readonly name: string;
  readonly status: root.WorkerStatus;
  readonly capabilities: Capabilities;
  readonly sessionId: string;
  readonly connectedAt: Date;
  readonly lastHeartbeat: Date;
  readonly activeRequests: number;
  readonly completedRequests: number;
  readonly pendingRequestIds: ReadonlySet<string>;
  readonly categoryActiveRequests: ReadonlyMap<string, number>;
}

interface Connected {
  id: string;
  name: string;
  websocket: WebSocket;
  capabilities: Capabilities;
  status: root.WorkerStatus;
  sessionId: string;
  connectedAt: Date;
  lastHeartbeat: Date;
  activeRequests: number;
  pendingRequests: Set<string>;
  completedRequests: number;
  requestCategories: Map<string, string>;
  categoryActiveRequests: Map<string, number>;
}

interface Logger {
  debug(message: string, context?: Record<string, unknown>): void;
  info(message: string, context?: Record<string, unknown>): void;
  warn(message: string, context?: Record<string, unknown>): void;
  error(message: string, context?: Record<string, unknown>): void;
}

interface Options {
  port: number;
  authToken?: string;
  heartbeatTimeoutMs?: number;
  healthCheckIntervalMs?: number;
  heartbeatIntervalMs?: number;
  logger?: Logger;
}

interface Server {
  start(): Promise<void>;
  stop(): Promise<void>;
  onWorkerConnected(handler: (worker: Info) => void): () => void;
  onWorkerDisconnected(handler: (worker: Info, pending: ReadonlySet<string>) => void): () => void;
  onWorkerMessage<T = any>(type: string, handler: (worker: Info, message: T) => void): () => void;
  send(workerId: string, message: unknown): boolean;
  broadcast(message: unknown): void;
  getAvailableWorker(model: string, category?: string): Info | null;
  getAnyAvailableWorker(): Info | null;
  getAvailableSlotCount(model: string, category?: string): number;
  getWorkerCount(): number;
  getAvailableWorkerCount(): number;
  getWorkerInfo(): Info[];
  trackRequest(workerId: string, requestId: string, category?: string): void;
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void;
  addHttpHandler(handler: (req: IncomingMessage, res: ServerResponse) => Promise<boolean>): void;
  addWebSocketEndpoint(path: string, handler: (ws: WebSocket) => void): void;
}

interface Pool {
  add(worker: Connected): void;
  remove(workerId: string): Connected | undefined;
  get(workerId: string): Connected | undefined;
  has(workerId: string): boolean;
  getCount(): number;
  getAvailableCount(): number;
  values(): IterableIterator<Connected>;
  getAvailableWorker(model: string, category?: string): Connected | null;
  getAnyAvailableWorker(): Connected | null;
  getAvailableSlotCount(model: string, category?: string): number;
  trackRequest(workerId: string, requestId: string, category?: string): void;
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void;
  getWorkerInfoList(): Info[];
  checkHealth(timeoutMs: number): string[];
  send(workerId: string, message: unknown): boolean;
  broadcast(message: unknown): void;
  closeAll(): void;
}

export function version1(): void {
  expectTypeOf<keyof typeof root>().toEqualTypeOf<
    "ConnectionHandler" | "WorkerPool" | "WorkerServer" | "WorkerStatus" | "safeCompare" | "toWorkerInfo"
  >();
  interchangeable<root.ModelInfo, Model>(true);
  interchangeable<root.WorkerCapabilities, Capabilities>(true);
  interchangeable<root.WorkerInfo, Info>(true);
  interchangeable<root.ConnectedWorker, Connected>(true);
  interchangeable<root.ConnectedWorker["websocket"], WebSocket>(true);
  interchangeable<root.WorkerServerLogger, Logger>(true);
  interchangeable<root.WorkerConnectedHandler, (worker: Info) => void>(true);
  interchangeable<root.WorkerDisconnectedHandler, (worker: Info, pending: ReadonlySet<string>) => void>(true);
  interchangeable<root.WorkerMessageHandler, (worker: Info, message: any) => void>(true);
  interchangeable<root.HttpRequestHandler, (req: IncomingMessage, res: ServerResponse) => Promise<boolean>>(
    true,
  );
  interchangeable<root.WebSocketConnectionHandler, (ws: WebSocket) => void>(true);
  // What was added to these stands beside what was there.
  interchangeable<Pick<root.WorkerServerOptions, keyof Options>, Options>(true);
  expectTypeOf<Options>().toExtend<root.WorkerServerOptions>();
  interchangeable<Pick<root.WorkerServer, keyof Server>, Server>(true);
  interchangeable<Pick<root.WorkerPool, keyof Pool>, Pool>(true);
  expectTypeOf<`${root.WorkerStatus}`>().toEqualTypeOf<"available" | "busy" | "draining" | "unhealthy">();
}

/** A socket out of a pool is used as code written against `ws` uses one. */
export function sockets(worker: root.ConnectedWorker): void {
  const { websocket } = worker;
  websocket.on("message", (data, isBinary) => void [data.toString(), isBinary]);
  websocket.once("close", (code, reason) => void [code.toFixed(), reason.toString("utf8")]);
  websocket.send(Buffer.from("x"), { binary: true }, (error) => void error?.message);
  websocket.ping("x");
  websocket.terminate();
  expectTypeOf(websocket.bufferedAmount).toEqualTypeOf<number>();
}

/** Types of our own, for the record. */
export type Added = [
  root.ConnectionHandlerConfig,
  root.DispatchedRequest,
  root.DispatchRequest,
  root.PoolWorker,
  root.ServerStats,
  root.SettlementFactory,
  root.SnapshotCapabilities,
  root.StopOptions,
  root.WorkerConnection,
  root.WorkerEventHandler,
  root.WorkerMessage,
  root.WorkerMessageEvent,
  root.WorkerRequests,
  root.WorkerServerLimits,
  root.WorkerSnapshot,
  root.WorkerSocket,
];

/* The dispatch API. */

interface RequestInfo {
  readonly active: number;
  readonly completed: number;
  readonly pendingIds: readonly string[];
  readonly activeByCategory: Readonly<Record<string, number>>;
}

interface DispatchCapabilities {
  readonly maxConcurrentRequests: number;
  readonly models: readonly Model[];
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly concurrencyLimits?: Readonly<Record<string, number>>;
}

interface DispatchInfo {
  readonly id: string;
  readonly name: string;
  readonly status: v2.WorkerStatus;
  readonly capabilities: DispatchCapabilities;
  readonly sessionId: string;
  readonly connectedAt: Date;
  readonly lastHeartbeat: Date;
  readonly requests: RequestInfo;
}

interface Message {
  type: string;
  requestId?: string;
  [field: string]: any;
}

interface Event {
  readonly worker: DispatchInfo;
  readonly message: Message;
  readonly requestId: string | null;
  complete(): void;
  fail(): void;
}

type Dispatched = Omit<Event, "message" | "requestId"> & {
  readonly message: Message & { requestId: string };
  readonly requestId: string;
};

export function dispatchApi(): void {
  expectTypeOf<keyof typeof v2>().toEqualTypeOf<"WorkerServer" | "WorkerStatus">();
  interchangeable<v2.ModelInfo, Model>(true);
  interchangeable<v2.WorkerCapabilities, DispatchCapabilities>(true);
  interchangeable<v2.WorkerInfo, DispatchInfo>(true);
  interchangeable<v2.WorkerRequestInfo, RequestInfo>(true);
  interchangeable<v2.WorkerRequests, RequestInfo>(true);
  interchangeable<v2.WorkerMessage, Message>(true);
  interchangeable<v2.WorkerMessageEvent, Event>(true);
  interchangeable<v2.DispatchedRequest, Dispatched>(true);
  interchangeable<v2.WorkerConnectedHandler, (worker: DispatchInfo) => void>(true);
  interchangeable<v2.WorkerDisconnectedHandler, (worker: DispatchInfo) => void>(true);
  interchangeable<v2.WorkerMessageHandler, (event: Event) => void>(true);
  interchangeable<v2.HttpRequestHandler, root.HttpRequestHandler>(true);
  interchangeable<v2.WebSocketConnectionHandler, (ws: WebSocket) => void>(true);
  interchangeable<v2.WorkerServerLogger, Logger>(true);
  expectTypeOf<Options>().toExtend<v2.WorkerServerOptions>();
  expectTypeOf<{
    model: string;
    category: string;
    message: Message & { requestId: string };
  }>().toExtend<v2.DispatchRequest>();
  expectTypeOf<`${v2.WorkerStatus}`>().toEqualTypeOf<"available" | "busy" | "unhealthy">();
  expectTypeOf<keyof v2.WorkerServer>().toEqualTypeOf<
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
}
