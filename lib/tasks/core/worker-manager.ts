import { TASK_MESSAGES, WORKER_STATUS } from "./constants.js";
import { TaskError } from "./task-error.js";
import { TaskManager } from "./task-manager.js";
import type { MessageIF, TaskIF, TaskManagerIF, TaskWorkerIF, WorkerConfig } from "./types.js";
import { countOf } from "./worker-config.js";

/** A worker, with what only its manager asks. */
export interface ManagedWorker extends TaskWorkerIF {
  readonly isFree: boolean;
}

/** Several workers that take the tasks of one task manager. */
export class WorkerManager<T extends ManagedWorker, W> {
  readonly #kind: string;
  readonly #workers = new Map<string, T>();
  #taskManager: TaskManagerIF | undefined;
  #subscription: { unsubscribe(): void } | undefined;

  /** `kind` stands in messages of errors. */
  constructor(
    kind: string,
    manager: TaskManagerIF | undefined,
    configs: readonly WorkerConfig<W>[],
    make: (owner: WorkerManager<T, W>, config: WorkerConfig<W>) => T,
  ) {
    this.#kind = kind;
    if (manager !== undefined) this.assignTaskManager(manager);
    try {
      for (const config of configs)
        for (let left = countOf(config); left > 0; left--) this.#add(make(this, config));
    } catch (error) {
      // No thread is left behind when a later configuration is not valid.
      this.close();
      throw error;
    }
  }

  /** The workers, in the order they were made. */
  get workers(): T[] {
    return [...this.#workers.values()];
  }

  get taskManager(): TaskManagerIF | undefined {
    return this.#taskManager;
  }

  /**
   * Takes the tasks of a task manager.
   * @throws TaskError with code `MANAGER_ALREADY_ASSIGNED` if there is one
   */
  assignTaskManager(manager: TaskManagerIF): void {
    if (this.#taskManager !== undefined)
      throw new TaskError(`${this.#kind} manager already has manager`, "MANAGER_ALREADY_ASSIGNED");
    this.#taskManager = manager;
    this.#subscription = manager.events$.subscribe((message) => {
      this.#hear(message);
    });
    for (const worker of this.#workers.values()) worker.listenToTaskManager(manager);
    // Tasks may wait already.
    for (const worker of this.#workers.values())
      if (worker.isFree)
        manager.emit({ message: TASK_MESSAGES.WORKER_READY, workerId: worker.id, content: worker });
  }

  /** Lets one of the available workers that can do the task claim it. */
  onTask(task: TaskIF): void {
    const free = this.workers.filter((worker) => worker.isFree && worker.tasks.includes(task.name));
    free[Math.floor(Math.random() * free.length)]?.claim(task);
  }

  /** Closes all workers and forgets them and the task manager. May be called again. */
  close(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    for (const worker of this.#workers.values()) worker.close();
    this.#workers.clear();
    this.#taskManager = undefined;
  }

  #add(worker: T): void {
    this.#workers.set(worker.id, worker);
  }

  #hear({ message, workerId, content }: MessageIF): void {
    switch (message) {
      case TASK_MESSAGES.NEW_TASK:
      case TASK_MESSAGES.TASK_AVAILABLE:
        if (isWaiting(content) && !this.#isBehindOthers(content)) this.onTask(content);
        break;
      case TASK_MESSAGES.WORKER_READY:
      case TASK_MESSAGES.WORKER_RESPONSE:
        if (workerId !== undefined) this.#updateWorker(this.#workers.get(workerId));
    }
  }

  /** The worker that becomes free next asks for the older task first. */
  #isBehindOthers(task: TaskIF): boolean {
    return this.#taskManager instanceof TaskManager && this.#taskManager.isBehindOthers(task);
  }

  #updateWorker(worker: T | undefined): void {
    if (worker === undefined || worker.status === WORKER_STATUS.CLOSED) return;
    worker.status = WORKER_STATUS.AVAILABLE;
    this.#taskManager?.emit({ message: TASK_MESSAGES.WORKER_UPDATED, workerId: worker.id, content: worker });
  }
}

function isWaiting(task: TaskIF | undefined): task is TaskIF {
  return task?.status === "new" && task.assignedWorker === undefined;
}
