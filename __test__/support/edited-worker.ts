import type { ModelInfo, WorkerCapabilities, WorkerServer } from "../../index.js";
import { infoOf } from "./infos";
import { type RecordingLogger, startServer } from "./test-server";
import { TestWorker, capabilities, model } from "./test-worker";

/** The worker whose live parts a test edits by hand. */
export const EDITED = "edited";

/** The model that only the edited worker registers, so that edits show in a pool of any size. */
export const OWN_MODEL = "own-model";

/** A server with so many workers; the edited one stands in the middle of them. */
export async function serverWithEdited(
  count: number,
  edited: Record<string, unknown> = {},
  options: Record<string, unknown> = {},
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger; worker: TestWorker }> {
  const { server, port, logger } = await startServer(options);
  const register = (workerId: string) => TestWorker.register(port, { workerId });
  const others = Array.from({ length: count - 1 }, (_, index) => `worker-${index}`);
  // One after the other: the order of the pool is that of registration.
  for (const workerId of others.splice(0, Math.ceil(others.length / 2))) await register(workerId);
  const worker = await TestWorker.register(port, {
    workerId: EDITED,
    capabilities: capabilities({ models: [model(OWN_MODEL)], ...edited }),
  });
  for (const workerId of others) await register(workerId);
  return { server, port, logger, worker };
}

/** The live capabilities of the edited worker, typed as what they are: open to edits. */
export function capabilitiesOf(server: WorkerServer): WorkerCapabilities & Record<string, any> {
  return infoOf(server, EDITED).capabilities;
}

export function pendingOf(server: WorkerServer): Set<string> {
  return infoOf(server, EDITED).pendingRequestIds as Set<string>;
}

export function categoriesOf(server: WorkerServer): Map<string, number> {
  return infoOf(server, EDITED).categoryActiveRequests as Map<string, number>;
}

/** The id of the worker selected for the edited worker's own model, or another. */
export function selected(server: WorkerServer, category?: string, wanted = OWN_MODEL): string | undefined {
  return server.getAvailableWorker(wanted, category)?.id;
}

export function modelInfo(modelId: string): ModelInfo {
  return model(modelId) as unknown as ModelInfo;
}
