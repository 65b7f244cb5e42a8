import type { WorkerServer } from "../../index.js";
import { type RecordingLogger, startServer } from "./test-server";
import { TestWorker } from "./test-worker";

/** A server with one registered worker. */
export async function serverWithWorker(): Promise<{
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  worker: TestWorker;
}> {
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);
  return { server, port, logger, worker };
}
