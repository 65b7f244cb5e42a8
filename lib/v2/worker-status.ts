/** What a worker can do at the moment. */
export enum WorkerStatus {
  /** Takes requests. */
  Available = "available",
  /** At its `maxConcurrentRequests`. */
  Busy = "busy",
  /** Its last heartbeat is older than `heartbeatTimeoutMs`. */
  Unhealthy = "unhealthy",
}
