import type * as dispatch from "../dispatch/types.js";
import type { WorkerStatus } from "./worker-status.js";

/**
 * A worker at one moment: frozen, and not changed by what happens later.
 *
 * @example
 * for (const worker of server.listWorkers()) console.log(worker.name, worker.requests.active);
 */
export interface WorkerInfo extends dispatch.WorkerSnapshot<WorkerStatus> {}

/** A request that was sent to a worker; frozen. */
export interface DispatchedRequest<
  T extends { type: string; requestId: string } = dispatch.WorkerMessage & { requestId: string },
> extends dispatch.DispatchedRequest<T, WorkerInfo> {}

/** A message that came from a worker; frozen, but for the message. All handlers get the same one. */
export interface WorkerMessageEvent<
  T extends { type: string } = dispatch.WorkerMessage,
> extends dispatch.WorkerMessageEvent<T, WorkerInfo> {}

export type WorkerConnectedHandler = (worker: WorkerInfo) => void;

export type WorkerDisconnectedHandler = (worker: WorkerInfo) => void;

export type WorkerMessageHandler<T extends { type: string } = dispatch.WorkerMessage> = (
  event: WorkerMessageEvent<T>,
) => void;
