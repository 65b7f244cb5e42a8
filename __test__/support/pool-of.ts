import type { WorkerServer } from "../../index.js";
import { type RecordingLogger, startServer } from "./test-server";
import { TestWorker, capabilities, model } from "./test-worker";

export interface Wanted {
  id: unknown;
  models?: string[];
  max?: number;
  limits?: unknown;
}

export function registerAs(port: number, { id, models = ["sonnet"], max = 4, limits }: Wanted) {
  return TestWorker.register(port, {
    workerId: id,
    capabilities: capabilities({
      models: models.map(model),
      maxConcurrentRequests: max,
      concurrencyLimits: limits,
    }),
  });
}

/** A server with these workers, registered in this order. */
export async function poolOf(
  ...wanted: Wanted[]
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger; workers: TestWorker[] }> {
  const { server, port, logger } = await startServer();
  const workers: TestWorker[] = [];
  for (const worker of wanted) workers.push(await registerAs(port, worker));
  return { server, port, logger, workers };
}

/** A message about a request. */
export function work(requestId: string): { type: string; requestId: string } {
  return { type: "work_request", requestId };
}
