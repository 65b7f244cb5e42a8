import type { ManagerContext } from "./context.js";
import { WorkerState } from "./enums.js";
import { binding, Counts } from "./native.js";
import type { PoolThread } from "./pool-thread.js";
import type { WorkerMetrics } from "./types.js";

const counts = new Float64Array(Counts.Length);

/** Takes the metrics of a manager. */
export function takeMetrics({ pool, config }: ManagerContext, threads: readonly PoolThread[]): WorkerMetrics {
  counts.fill(0);
  binding.poolMetrics(pool, counts);
  const count = (place: Counts): number => counts[place] ?? 0;
  const inState = (state: WorkerState): number =>
    threads.filter((thread) => thread.info.state === state).length;
  const live = threads.filter(({ info }) => info.state !== WorkerState.TERMINATING);
  const memory = live.reduce((sum, { info }) => sum + info.memoryUsed, 0);
  const utilization = live.reduce((sum, thread) => sum + thread.sampleUtilization(), 0);
  const pending = count(Counts.Pending);
  return {
    totalWorkers: live.length,
    activeWorkers: inState(WorkerState.BUSY),
    idleWorkers: inState(WorkerState.IDLE),
    unhealthyWorkers: inState(WorkerState.UNHEALTHY),
    pendingTasks: pending,
    runningTasks: count(Counts.Running),
    completedTasks: count(Counts.Completed),
    failedTasks: count(Counts.Failed),
    averageTaskDuration: count(Counts.MeanDuration),
    averageQueueTime: count(Counts.MeanQueueTime),
    throughput: count(Counts.Throughput),
    cpuUtilization: live.length === 0 ? 0 : utilization / live.length,
    memoryUtilization: live.length === 0 ? 0 : memory / (live.length * config.maxWorkerMemory),
    cancelledTasks: count(Counts.Cancelled),
    timedOutTasks: count(Counts.TimedOut),
    retriedTasks: count(Counts.Retried),
    blockedTasks: count(Counts.Blocked),
    queueSize: pending,
    duration: {
      p50: count(Counts.P50),
      p90: count(Counts.P90),
      p99: count(Counts.P99),
      max: count(Counts.Max),
    },
  };
}
