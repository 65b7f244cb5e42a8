import { TaskWorker } from "../core/task-worker.js";
import type { TaskIF, TaskManagerIF, TaskWorkerIF, ThreadLike, WorkerConfig } from "../core/types.js";
import { openThread, refuseType } from "./thread-link.js";

/** What a worker needs of its manager. */
export interface ServerWorkerManagerIF {
  taskManager?: TaskManagerIF | undefined;
  workers: ServerTaskWorkerIF[];
  assignTaskManager(manager: TaskManagerIF): void;
  onTask(task: TaskIF): void;
  close(): void;
}

export interface ServerTaskWorkerIF extends TaskWorkerIF {
  serverWorkerManager?: ServerWorkerManagerIF | undefined;
}

/** A thread that takes tasks. It keeps the process alive while it starts and while it has a task. */
export class ServerTaskWorker extends TaskWorker<ThreadLike> implements ServerTaskWorkerIF {
  /**
   * Starts the script. A script that cannot be started closes the worker, with the reason in `error`.
   * @throws TaskError with code `INVALID_OPTION` if the configuration is not valid
   */
  constructor(serverWorkerManager: ServerWorkerManagerIF | undefined, config: WorkerConfig<ThreadLike>) {
    refuseType(config);
    super(serverWorkerManager, config, openThread);
  }

  /** The manager. The worker takes the tasks of the manager's task manager. */
  get serverWorkerManager(): ServerWorkerManagerIF | undefined {
    return this.owner as ServerWorkerManagerIF | undefined;
  }

  set serverWorkerManager(manager: ServerWorkerManagerIF | undefined) {
    this.owner = manager;
  }
}
