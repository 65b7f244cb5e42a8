import { WorkerServer, type WorkerServerLogger, type WorkerServerOptions } from "../../index.js";

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

/** A server on a free port; `stopServers` in `afterEach` ends it. */
export async function startServer(
  options: Partial<WorkerServerOptions> = {},
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger }> {
  const logger = new RecordingLogger();
  const server = new WorkerServer({ port: 0, logger, ...options });
  running.add(server);
  await server.start();
  return { server, port: server.port, logger };
}

export async function stopServers(): Promise<void> {
  const all = [...running];
  running.clear();
  await Promise.all(all.map((server) => server.stop()));
}
