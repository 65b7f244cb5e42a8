import { TaskWorker } from "../core/task-worker.js";
import type { TaskManagerIF, TaskWorkerIF, WebWorkerLike, WorkerConfig } from "../core/types.js";
import { openWebWorker } from "./web-worker-link.js";

/** What a worker needs of its manager. */
export interface BrowserWorkerManagerIF {
  taskManager?: TaskManagerIF | undefined;
  assignTaskManager(manager: TaskManagerIF): void;
  close(): void;
}

export interface BrowserTaskWorkerIF extends TaskWorkerIF {
  browserWorkerManager: BrowserWorkerManagerIF | undefined;
}

/** A Web Worker that takes tasks. */
export class BrowserTaskWorker extends TaskWorker<WebWorkerLike> implements BrowserTaskWorkerIF {
  /**
   * Starts the script. A script that cannot be started closes the worker, with the reason in `error`.
   * @throws TaskError with code `INVALID_OPTION` if the configuration is not valid
   */
  constructor(browserWorkerManager: BrowserWorkerManagerIF | undefined, config: WorkerConfig<WebWorkerLike>) {
    super(browserWorkerManager, config, openWebWorker);
  }

  /** The manager. The worker takes the tasks of the manager's task manager. */
  get browserWorkerManager(): BrowserWorkerManagerIF | undefined {
    return this.owner as BrowserWorkerManagerIF | undefined;
  }

  set browserWorkerManager(manager: BrowserWorkerManagerIF | undefined) {
    this.owner = manager;
  }
}
