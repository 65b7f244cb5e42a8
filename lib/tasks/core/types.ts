import type { Subject } from "rxjs";
import type { TaskStatusValue, WorkerStatusValue } from "./constants.js";
import type { TaskRequest } from "./task-request.js";

/** One message of `events$`, or between the host and a worker script. */
export interface MessageIF {
  /** One of `TASK_MESSAGES`, or a name of the user's own. */
  message: string;
  fromTask?: string;
  content?: any;
  taskId?: string;
  workerId?: string;
  /** The id of the task manager that sent the message. */
  managerId?: string;
  /** What failed. An empty text is no error. */
  error?: string;
  /** The number of the message, from 1. Every subscriber sees these numbers increase. */
  seq?: number;
}

/** Everything of a message but its name and content. */
export type MessageParams = Omit<MessageIF, "message" | "content">;

/** What `addTask` takes. */
export interface ITaskParams {
  /** Which workers can do the task: those whose `tasks` have this name. */
  name: string;
  /** What the worker script gets. Has to be cloneable. */
  params: any;
  /** Gets the whole response of the worker: `content`, `taskId`, `workerId`. */
  onSuccess?: ((response: MessageIF) => void) | undefined;
  /** Gets the response with `error`. */
  onError?: ((response: MessageIF) => void) | undefined;
  /** Tasks of a higher priority are taken first. Default: 0. */
  priority?: number | undefined;
  /** Milliseconds that the task may run. Then it fails, and its worker is ended and started again. Default: no limit. */
  timeout?: number | undefined;
  /** Fails the task when aborted. If the task runs, its worker is ended and started again. */
  signal?: AbortSignal | undefined;
  /** What of `params` is moved to the worker instead of copied. */
  transfer?: readonly object[] | undefined;
}

/** A task that was added. */
export interface TaskIF extends ITaskParams {
  id: string;
  /** The id of the worker that has the task. */
  assignedWorker?: string | undefined;
  status: TaskStatusValue;
}

/** The ids of tasks by status, in the order they were added. */
export interface TaskStatusSummary {
  /** The last tasks that failed; see `failedHistory`. */
  failed: string[];
  working: string[];
  active: string[];
  pending: string[];
}

/** What worker managers and workers need of a task manager. */
export interface TaskManagerIF {
  events$: Subject<MessageIF>;
  emit(msg: MessageIF): void;
  addTask(task: ITaskParams): TaskRequest;
  deleteTask(taskId: string): void;
  updateTask(taskId: string, props: Partial<Omit<TaskIF, "id">>): void;
  task(id: string): TaskIF | undefined;
  status(): TaskStatusSummary;
  close(): void;
}

/** Settings of a task manager. */
export interface TaskManagerOptions {
  /** How many ids of failed tasks `status().failed` keeps. Default: 1000. */
  failedHistory?: number;
  /** Whether `close()` calls `onError` of tasks that have not ended. Default: false. */
  failPendingOnClose?: boolean;
}

/** How a script that failed is started again. */
export interface RestartOptions {
  /** Failures in a row, without a task done in between, after which the worker is closed. Default: 5. */
  max?: number;
  /** Milliseconds before the first restart; each further failure doubles them, up to 30 s. Default: 100. */
  delay?: number;
}

/** What is used of a Web Worker. */
export interface WebWorkerLike {
  postMessage(message: any, transfer: any[]): void;
  terminate(): void;
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** What is used of a `Worker` of `node:worker_threads`. */
export interface ThreadLike {
  postMessage(message: any, transfer?: readonly any[]): void;
  terminate(): Promise<number>;
  on(event: string, listener: (value: any) => void): unknown;
  ref(): void;
  unref(): void;
}

/** The workers of one script: `script` or `create` has to be given. */
export interface WorkerConfig<W = WebWorkerLike | ThreadLike> {
  /** Names of the tasks that the workers can do. Default: none. */
  tasks?: readonly string[];
  /** Path or URL of the script. */
  script?: string | URL;
  /** Makes the worker, for bundlers: `() => new Worker(new URL("./worker.js", import.meta.url))`. Called again for a restart. */
  create?: () => W;
  /** Kind of a browser's script. Node tells it by the file, so server workers refuse the option. Default: "classic". */
  type?: "classic" | "module";
  /** Name of the worker, for debuggers. */
  name?: string;
  /** How many workers the configuration makes. Default: 1. */
  count?: number;
  /** How a script that failed is started again; `false`: not at all. */
  restart?: false | RestartOptions;
}

/** What managers and subscribers see of a worker. */
export interface TaskWorkerIF {
  readonly id: string;
  readonly tasks: string[];
  readonly script: string;
  status: WorkerStatusValue;
  /** Why the script failed the last time. */
  readonly error?: string | undefined;
  claim(task: TaskIF): void;
  listenToTaskManager(manager: TaskManagerIF): void;
  canDo(message: MessageIF): boolean | undefined;
  close(): void;
}
