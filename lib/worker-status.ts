/** What a worker can do at the moment. */
export enum WorkerStatus {
  /** Takes requests. */
  Available = "available",
  /** At its `maxConcurrentRequests`; still returned by `getAnyAvailableWorker`. */
  Busy = "busy",
  /** Finishes its requests and gets no new ones. Only ever set by hand. */
  Draining = "draining",
  /** Its last heartbeat is older than `heartbeatTimeoutMs`. */
  Unhealthy = "unhealthy",
}

/** In the order of the native core's numbers. */
const byNumber = [WorkerStatus.Available, WorkerStatus.Busy, WorkerStatus.Draining, WorkerStatus.Unhealthy];

export function statusOf(number: number): WorkerStatus {
  return byNumber[number] ?? WorkerStatus.Unhealthy;
}

export function numberOf(status: WorkerStatus): number {
  return byNumber.indexOf(status);
}
