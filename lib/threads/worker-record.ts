import { WorkerState } from "./enums.js";
import type { WorkerInfo } from "./types.js";

/** What is told of a worker; the user sees it as {@link WorkerInfo}. */
export class WorkerRecord implements WorkerInfo {
  readonly id: string;
  state = WorkerState.IDLE;
  currentTask: string | null = null;
  tasksCompleted = 0;
  tasksFailed = 0;
  isHealthy = true;
  online = false;
  threadId = -1;
  readonly createdAt = Date.now();
  lastHeartbeat = 0;
  memoryUsed = 0;
  cpuUtilization = 0;

  constructor(id: string) {
    this.id = id;
  }
}
