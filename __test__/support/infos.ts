import type { WorkerInfo, WorkerServer } from "../../index.js";

/** The worker's info as of now; fails when the server does not list it. */
export function infoOf(server: WorkerServer, workerId: unknown = "worker-1"): WorkerInfo {
  const info = server.getWorkerInfo().find((worker) => (worker.id as unknown) === workerId);
  if (!info) throw new Error(`not listed: ${String(workerId)}`);
  return info;
}

/** The ids of all listed workers, in order. */
export function listedIds(server: WorkerServer): unknown[] {
  return server.getWorkerInfo().map((worker) => worker.id);
}
