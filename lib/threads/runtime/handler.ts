import type { TransferListItem } from "node:worker_threads";

/** What a handler is called with beside the payload. */
export interface HandlerContext {
  readonly taskId: string;
  readonly taskType: string;
  readonly metadata: Record<string, unknown> | undefined;
  /** Attempts so far, this one included. */
  readonly attempt: number;
  /** Results of the dependencies by their ids, if the task asked for them. */
  readonly dependencyResults: Record<string, unknown> | undefined;
  /** Aborted when the task is cancelled and has time to end by itself (`cancelGracePeriod`). */
  readonly signal: AbortSignal;
  /** Reports progress. */
  progress(value: number): void;
  /** Makes a result whose objects are moved to the manager's thread instead of copied. */
  transfer(value: unknown, transferList: readonly TransferListItem[]): unknown;
}

/** Runs tasks of one type. */
export type Handler = (payload: unknown, context: HandlerContext) => unknown;
