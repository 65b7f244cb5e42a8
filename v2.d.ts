export { WorkerServer } from "./dist/v2/worker-server.js";
export { WorkerStatus } from "./dist/v2/worker-status.js";
export type {
  DispatchedRequest,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageEvent,
  WorkerMessageHandler,
} from "./dist/v2/types.js";
export type {
  DispatchRequest,
  SnapshotCapabilities as WorkerCapabilities,
  WorkerMessage,
  WorkerRequests,
  WorkerRequests as WorkerRequestInfo,
} from "./dist/dispatch/types.js";
export type {
  HttpRequestHandler,
  ModelInfo,
  ServerStats,
  StopOptions,
  WebSocketConnectionHandler,
  WorkerServerLimits,
  WorkerServerLogger,
  WorkerServerOptions,
} from "./dist/types.js";
