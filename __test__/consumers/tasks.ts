/* A user's own program with tasks, to be compiled in all ways. */
import {
  ServerWorkerManager,
  TASK_MESSAGES,
  TaskError,
  TaskManager,
  type MessageIF,
  type WorkerConfig,
} from "@hardlydifficult/worker-server/tasks";
import { BrowserWorkerManager, type WebWorkerLike } from "@hardlydifficult/worker-server/tasks/browser";
import { ServerTaskWorker } from "@hardlydifficult/worker-server/tasks/server";

export async function main(create: () => WebWorkerLike): Promise<number | undefined> {
  const manager = new TaskManager({ failedHistory: 10 });
  const configs: WorkerConfig<never>[] = [
    { tasks: ["add"], script: "/worker.js", count: 2, restart: { max: 1 } },
  ];
  const server = new ServerWorkerManager({ manager, configs });
  const browser = new BrowserWorkerManager({ manager, configs: [{ tasks: ["add"], create }] });
  manager.events$.subscribe((message: MessageIF) => {
    if (message.message === TASK_MESSAGES.NEW_TASK) console.log(message.taskId);
  });
  console.log(
    server.workers.every((worker) => worker instanceof ServerTaskWorker),
    browser.workers.length,
  );
  manager.addTask({ name: "add", params: { a: 1 }, onSuccess: ({ content }) => console.log(content) });
  try {
    return await manager.run<number>({ name: "add", params: { a: 1 }, timeout: 50, priority: 1 });
  } catch (error) {
    if (error instanceof TaskError) console.error(error.code);
    return undefined;
  } finally {
    browser.close();
    server.close();
    manager.close();
  }
}
