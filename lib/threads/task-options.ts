import { limitOf, priorityNames, type ResolvedConfig } from "./config.js";
import { TaskPriority, WorkerTaskType } from "./enums.js";
import { ValidationError } from "./errors.js";
import { NO_DEPENDENCIES } from "./task.js";
import type { TaskCallback, TaskOptions } from "./types.js";

/** The options of a task, checked and with all defaults. */
export interface CheckedTask {
  readonly type: WorkerTaskType;
  /** Place of the type in the list of all. */
  readonly typeIndex: number;
  readonly callback: TaskCallback | undefined;
  readonly options: TaskOptions;
  readonly priority: TaskPriority;
  /** Infinite: no limit. */
  readonly timeout: number;
  readonly maxRetries: number;
  readonly retryDelay: number;
  readonly dependencies: readonly string[];
}

const types = Object.keys(WorkerTaskType) as WorkerTaskType[];
const typeIndexes = new Map(types.map((type, index) => [type as string, index]));
const noOptions: TaskOptions = Object.freeze({});

/** @throws ValidationError naming the first wrong argument */
export function checkTask(
  type: unknown,
  callback: unknown,
  options: unknown,
  config: ResolvedConfig,
): CheckedTask {
  const typeIndex =
    typeIndexes.get(type as string) ??
    (typeof type === "string" ? typeIndexes.get(type.toUpperCase()) : undefined);
  if (typeIndex === undefined) throw new ValidationError(`Unknown task type: ${String(type)}`, "type", type);
  if (callback !== undefined && callback !== null && typeof callback !== "function")
    throw new ValidationError("The callback must be a function", "callback", callback);
  if (options !== undefined && options !== null && typeof options !== "object")
    throw new ValidationError("The options must be an object", "options", options);
  const given = (options ?? noOptions) as TaskOptions;
  return {
    type: types[typeIndex] ?? WorkerTaskType.CUSTOM,
    typeIndex,
    callback: (callback ?? undefined) as TaskCallback | undefined,
    options: given,
    ...(given === noOptions ? defaultsOf(config) : checkOptions(given, config)),
  };
}

type CheckedOptions = Pick<
  CheckedTask,
  "priority" | "timeout" | "maxRetries" | "retryDelay" | "dependencies"
>;

function defaultsOf({ taskTimeout, maxRetries, retryDelay }: ResolvedConfig): CheckedOptions {
  return {
    priority: TaskPriority.NORMAL,
    timeout: limitOf(taskTimeout),
    maxRetries,
    retryDelay,
    dependencies: NO_DEPENDENCIES,
  };
}

function checkOptions(options: TaskOptions, config: ResolvedConfig): CheckedOptions {
  const { timeout = config.taskTimeout, maxRetries = config.maxRetries, id, metadata, signal } = options;
  const { retryDelay = config.retryDelay } = options;
  if (id !== undefined && (typeof id !== "string" || id === ""))
    throw new ValidationError("The id must be a string that is not empty", "id", id);
  if (typeof timeout !== "number" || !(timeout >= 0))
    throw new ValidationError("The timeout must be at least 0 ms", "timeout", timeout);
  if (!Number.isInteger(maxRetries) || maxRetries < 0)
    throw new ValidationError("maxRetries must be an integer of at least 0", "maxRetries", maxRetries);
  if (!Number.isFinite(retryDelay) || retryDelay < 0)
    throw new ValidationError(
      "retryDelay must be a finite number of at least 0 ms",
      "retryDelay",
      retryDelay,
    );
  if (metadata !== undefined && (typeof metadata !== "object" || metadata === null))
    throw new ValidationError("The metadata must be an object", "metadata", metadata);
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw new ValidationError("The signal must be an AbortSignal", "signal", signal);
  if (options.transferList !== undefined && !Array.isArray(options.transferList))
    throw new ValidationError("The transfer list must be an array", "transferList", options.transferList);
  return {
    priority: priorityOf(options.priority),
    timeout: limitOf(timeout),
    maxRetries,
    retryDelay,
    dependencies: dependenciesOf(options.dependencies),
  };
}

function priorityOf(priority: TaskOptions["priority"]): TaskPriority {
  if (priority === undefined) return TaskPriority.NORMAL;
  const found = typeof priority === "string" ? priorityNames[priority.toLowerCase()] : priority;
  if (
    found === undefined ||
    !Number.isInteger(found) ||
    found < TaskPriority.LOW ||
    found > TaskPriority.CRITICAL
  )
    throw new ValidationError(`Unknown priority: ${String(priority)}`, "priority", priority);
  return found;
}

function dependenciesOf(dependencies: TaskOptions["dependencies"]): readonly string[] {
  if (dependencies === undefined) return NO_DEPENDENCIES;
  if (!Array.isArray(dependencies) || !dependencies.every((id) => typeof id === "string"))
    throw new ValidationError("The dependencies must be an array of task ids", "dependencies", dependencies);
  return dependencies.length === 0 ? NO_DEPENDENCIES : Object.freeze([...new Set(dependencies as string[])]);
}
