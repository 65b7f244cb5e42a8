export { ConnectionHandler } from "./dist/connection-handler.js";
export { WorkerPool } from "./dist/worker-pool.js";
export { WorkerServer } from "./dist/worker-server.js";
export { WorkerStatus } from "./dist/worker-status.js";
export { safeCompare } from "./dist/safe-compare.js";
export { toWorkerInfo } from "./dist/worker-info.js";
export type {
  DispatchedRequest,
  DispatchRequest,
  SnapshotCapabilities,
  WorkerEventHandler,
  WorkerMessage,
  WorkerMessageEvent,
  WorkerRequests,
  WorkerSnapshot,
} from "./dist/dispatch/types.js";
export type {
  ConnectionHandlerConfig,
  SettlementFactory,
  WorkerConnection,
} from "./dist/connection-handler.js";
export type {
  ConnectedWorker,
  HttpRequestHandler,
  ModelInfo,
  PoolWorker,
  ServerStats,
  StopOptions,
  WebSocketConnectionHandler,
  WorkerCapabilities,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
  WorkerServerLimits,
  WorkerServerLogger,
  WorkerServerOptions,
  WorkerSocket,
} from "./dist/types.js";
