import { WorkerServer, type WorkerServerOptions } from "../../v2.js";
import { RecordingLogger } from "./test-server";
import { TestWorker } from "./test-worker";

const running = new Set<WorkerServer>();

/** A server of the dispatch API on a free port; `stopV2Servers` in `afterEach` ends it. */
export async function startV2Server(
  options: Partial<WorkerServerOptions> = {},
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger }> {
  const logger = new RecordingLogger();
  const server = new WorkerServer({ port: 0, logger, ...options });
  running.add(server);
  await server.start();
  return { server, port: server.port, logger };
}

export async function stopV2Servers(): Promise<void> {
  TestWorker.dropAll();
  const all = [...running];
  running.clear();
  await Promise.all(all.map((server) => server.stop()));
}
