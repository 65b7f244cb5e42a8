import { Answer, WorkerPlace } from "./native.js";
import type { HealthStatus, Worker, WorkerWithPriority } from "./types.js";

/** In the order of their numbers on the native side. */
export const HEALTH: readonly HealthStatus[] = ["healthy", "degraded", "unhealthy"];

export function healthOf(number: number): HealthStatus {
  return HEALTH[number] ?? "unhealthy";
}

/** Reads `count` workers of an answer; `at` is the place of the first text. */
export function readWorkers(
  places: Float64Array,
  texts: readonly string[],
  count: number,
  at: number,
): WorkerWithPriority[] {
  const workers: WorkerWithPriority[] = [];
  let text = at;
  let place: number = Answer.FirstWorker;
  for (let index = 0; index < count; index += 1, place += WorkerPlace.Length) {
    const capabilities = places[place + WorkerPlace.CapabilityCount]!;
    const end = text + 2 + capabilities;
    workers.push(readWorker(places, place, texts[text]!, texts[text + 1]!, texts.slice(text + 2, end)));
    text = end;
  }
  return workers;
}

function readWorker(
  places: Float64Array,
  place: number,
  id: string,
  nodeId: string,
  capabilities: string[],
): WorkerWithPriority {
  const maxConcurrentTasks = places[place + WorkerPlace.MaxConcurrentTasks]!;
  const currentTasks = places[place + WorkerPlace.CurrentTasks]!;
  const worker: Worker = {
    id,
    nodeId,
    capabilities,
    maxConcurrentTasks,
    currentTasks,
    healthStatus: healthOf(places[place + WorkerPlace.Health]!),
    lastHeartbeat: new Date(places[place + WorkerPlace.LastHeartbeat]!),
    startedAt: new Date(places[place + WorkerPlace.StartedAt]!),
    metrics: {
      tasksCompleted: places[place + WorkerPlace.TasksCompleted]!,
      tasksFailedCount: places[place + WorkerPlace.TasksFailed]!,
      averageTaskDuration: places[place + WorkerPlace.AverageTaskDuration]!,
    },
  };
  if (places[place + WorkerPlace.IsDraining] === 1) worker.draining = true;
  return withPriority(worker, places[place + WorkerPlace.Priority]!);
}

/** Adds what belongs to load balancing. Changes and returns the object. */
export function withPriority(worker: Worker, priority: number): WorkerWithPriority {
  const { maxConcurrentTasks, currentTasks, metrics } = worker;
  const tasks = metrics.tasksCompleted + metrics.tasksFailedCount;
  return Object.assign(worker, {
    priority,
    availableCapacity: maxConcurrentTasks - currentTasks,
    successRate: tasks === 0 ? 1 : metrics.tasksCompleted / tasks,
  });
}

/** Without what belongs to load balancing only. Changes and returns the object. */
export function withoutPriority(worker: WorkerWithPriority): Worker {
  const plain: Partial<WorkerWithPriority> & Worker = worker;
  delete plain.priority;
  delete plain.availableCapacity;
  delete plain.successRate;
  return plain;
}
