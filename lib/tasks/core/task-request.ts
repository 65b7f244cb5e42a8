import { TASK_STATUS, type TaskStatusValue } from "./constants.js";
import { newId } from "./ids.js";
import { TaskError } from "./task-error.js";
import type { ITaskParams, MessageIF, TaskIF } from "./types.js";

/** The longest delay of a timer. A longer one would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** A task, as `addTask` returns it. */
export class TaskRequest implements TaskIF {
  status: TaskStatusValue = TASK_STATUS.NEW;
  id: string = newId();
  name: string;
  params: any;
  onSuccess?: ((response: MessageIF) => void) | undefined;
  onError?: ((response: MessageIF) => void) | undefined;
  assignedWorker?: string | undefined;
  priority?: number | undefined;
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
  transfer?: readonly object[] | undefined;

  /** @throws TaskError with code `INVALID_OPTION` if `priority` or `timeout` is not a valid number */
  constructor(config: ITaskParams) {
    const { priority, timeout } = config;
    if (priority !== undefined && !Number.isFinite(priority))
      throw new TaskError(`priority: expected a finite number, got ${priority}`, "INVALID_OPTION");
    if (timeout !== undefined && !(timeout > 0 && timeout <= MAX_TIMEOUT_MS))
      throw new TaskError(
        `timeout: expected milliseconds above 0 and at most ${MAX_TIMEOUT_MS}, got ${timeout}`,
        "INVALID_OPTION",
      );
    this.name = config.name;
    this.params = config.params;
    this.onSuccess = config.onSuccess;
    this.onError = config.onError;
    this.priority = priority;
    this.timeout = timeout;
    this.signal = config.signal;
    this.transfer = config.transfer;
  }
}
