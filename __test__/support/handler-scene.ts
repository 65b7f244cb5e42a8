import { ConnectionHandler, WorkerPool, type ConnectionHandlerConfig, type WorkerInfo } from "../../index.js";
import { MockSocket } from "./plain-worker";
import { RecordingLogger } from "./test-server";
import { registration } from "./test-worker";

export interface Scene {
  pool: WorkerPool;
  handler: ConnectionHandler;
  logger: RecordingLogger;
  connected: WorkerInfo[];
  disconnected: { info: WorkerInfo; pending: ReadonlySet<string> }[];
}

/** A connection handler over an empty pool, and what its handlers were called with. */
export function scene(config: ConnectionHandlerConfig = {}): Scene {
  const logger = new RecordingLogger();
  const pool = new WorkerPool(logger);
  const handler = new ConnectionHandler(pool, config, logger);
  const made: Scene = { pool, handler, logger, connected: [], disconnected: [] };
  handler.onWorkerConnected((info) => made.connected.push(info));
  handler.onWorkerDisconnected((info, pending) => made.disconnected.push({ info, pending }));
  return made;
}

export function connect({ handler }: Scene): MockSocket {
  const socket = new MockSocket();
  handler.handleConnection(socket);
  return socket;
}

/** A socket whose worker is registered, without the acknowledgement. */
export function register(stage: Scene, overrides: Record<string, unknown> = {}): MockSocket {
  const socket = connect(stage);
  socket.receive(registration(overrides));
  socket.sent.length = 0;
  return socket;
}

/** The log lines from a moment on, as `[level, message, ...context]`. */
export function linesSince({ logger }: Scene, before: number): unknown[][] {
  return logger.lines.slice(before).map(({ level, message, rest }) => [level, message, ...rest]);
}
