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

/** The native core's number of a status; whatever else is put in by hand takes no requests either. */
export function numberOf(status: WorkerStatus): number {
  switch (status) {
    case WorkerStatus.Available:
      return 0;
    case WorkerStatus.Busy:
      return 1;
    case WorkerStatus.Draining:
      return 2;
    default:
      return 3;
  }
}
