/* A user's own program with tasks on threads, to be compiled in all ways. */
import {
  TaskPriority,
  ValidationError,
  WorkerTaskType,
  createWorkerManager,
  type WorkerManagerConfig,
  type WorkerTask,
} from "@hardlydifficult/worker-server/threads";

const config: WorkerManagerConfig = {
  minWorkers: 1,
  handlers: { CUSTOM: { file: "./handler.mjs", name: "run" } },
};
const manager = createWorkerManager(config);

manager.on("taskCompleted", ({ task, worker }) => {
  const milliseconds: number = task.completedAt - task.startedAt;
  console.log(worker.id, milliseconds);
});

export async function main(): Promise<WorkerTask | undefined> {
  const id = await manager.submitTask(WorkerTaskType.CUSTOM, { n: 1 }, null, { priority: TaskPriority.HIGH });
  try {
    const result = await manager.run<{ n: number }>("CUSTOM", { n: 1 }, { dependencies: [id] });
    console.log(result.n.toFixed(2));
  } catch (error) {
    if (error instanceof ValidationError) console.error(error.field);
  }
  await manager.shutdown({ drain: true });
  return manager.getTask(id);
}
