import { randomUUID } from "node:crypto";
import type { WorkerServer } from "../../index.js";
import type { TestWorker } from "./test-worker";

/**
 * Returns once the server's JS has handled everything `worker` sent before: messages of one socket
 * are handled in order. A heartbeat round trip does not show that, for heartbeats are answered
 * without entering JS.
 */
export async function handledSoFar(server: WorkerServer, worker: TestWorker): Promise<void> {
  const type = `barrier-${randomUUID()}`;
  await new Promise<void>((resolve) => {
    const unsubscribe = server.onWorkerMessage(type, () => {
      unsubscribe();
      resolve();
    });
    worker.send({ type });
  });
}
