import { WorkerServer, type WorkerServerLogger, type WorkerServerOptions } from "../../index.js";
import { TestWorker } from "./test-worker";

export interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  /** The arguments after the message, so that "no context argument" can be told from `undefined`. */
  rest: unknown[];
}

/** A logger that remembers its calls. */
export class RecordingLogger implements WorkerServerLogger {
  readonly lines: LogLine[] = [];
  debug(message: string, ...rest: unknown[]): void {
    this.lines.push({ level: "debug", message, rest });
  }
  info(message: string, ...rest: unknown[]): void {
    this.lines.push({ level: "info", message, rest });
  }
  warn(message: string, ...rest: unknown[]): void {
    this.lines.push({ level: "warn", message, rest });
  }
  error(message: string, ...rest: unknown[]): void {
    this.lines.push({ level: "error", message, rest });
  }
  /** The lines with that message. */
  of(message: string): LogLine[] {
    return this.lines.filter((line) => line.message === message);
  }
}

const running = new Set<WorkerServer>();

/** A server that was not started; `stopServers` in `afterEach` ends it all the same. */
export function createServer(options: Partial<WorkerServerOptions> = {}): {
  server: WorkerServer;
  logger: RecordingLogger;
} {
  const logger = new RecordingLogger();
  const server = new WorkerServer({ port: 0, logger, ...options });
  running.add(server);
  return { server, logger };
}

/** A server on a free port; `stopServers` in `afterEach` ends it. */
export async function startServer(
  options: Partial<WorkerServerOptions> = {},
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger }> {
  const { server, logger } = createServer(options);
  await server.start();
  return { server, port: server.port, logger };
}

/** Drops all test workers first, so that no socket of theirs holds a `stop()`. */
export async function stopServers(): Promise<void> {
  TestWorker.dropAll();
  const all = [...running];
  running.clear();
  await Promise.all(all.map((server) => server.stop()));
}
