export { WorkerServer } from "./dist/worker-server.js";
export { WorkerStatus } from "./dist/worker-status.js";
export { safeCompare } from "./dist/safe-compare.js";
export { toWorkerInfo } from "./dist/worker-info.js";
export type {
  ConnectedWorker,
  HttpRequestHandler,
  ModelInfo,
  StopOptions,
  WebSocketConnectionHandler,
  WorkerCapabilities,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
  WorkerServerLogger,
  WorkerServerOptions,
  WorkerSocket,
} from "./dist/types.js";
