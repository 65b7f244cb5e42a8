import { MessageChannel, type MessagePort, type TransferListItem } from "node:worker_threads";
import { written, type Body } from "./body.js";
import type { ManagerContext } from "./context.js";
import { TaskStatus } from "./enums.js";
import { ValidationError, WorkerError } from "./errors.js";
import { binding, BodyKind, Lane, Submission } from "./native.js";
import { isNativeTask, nativeTask } from "./native-tasks.js";
import { ownError } from "./own-error.js";
import type { PoolThread } from "./pool-thread.js";
import { isSettled, Task, type PostedPayload, type TaskExtras } from "./task.js";
import type { CheckedTask } from "./task-options.js";
import type { TaskOptions } from "./types.js";

interface Dependencies {
  readonly tasks: readonly Task[];
  /** Of those that are not settled. */
  readonly keys: Float64Array | undefined;
  /** One of them did not complete. */
  readonly hasFailed: boolean;
}

const noDependencies: Dependencies = { tasks: [], keys: undefined, hasFailed: false };

/** A payload as it goes to the thread. */
interface Payload {
  readonly value: unknown;
  readonly body: Body;
  readonly posted: PostedPayload | undefined;
}

interface Waiting {
  readonly checked: CheckedTask;
  readonly payload: unknown;
  resolve(id: string): void;
  reject(error: Error): void;
  /** Takes the listener off the task's signal. */
  forgetSignal?: () => void;
}

/** Takes tasks in. */
export class Submissions {
  readonly #context: ManagerContext;
  readonly #cancel: (task: Task, reason: unknown) => void;
  readonly #numbers = new Float64Array(Submission.Length);
  readonly #waiting: Waiting[] = [];
  #count = 0;
  #hasGivenIds = false;

  constructor(context: ManagerContext, cancel: (task: Task, reason: unknown) => void) {
    this.#context = context;
    this.#cancel = cancel;
  }

  /**
   * Takes a task in, or waits for room if the manager is configured so.
   *
   * @throws what is wrong with the task
   */
  submit(checked: CheckedTask, payload: unknown): Promise<string> {
    if (this.#waiting.length === 0) {
      const task = this.tryAdd(checked, payload);
      if (task !== undefined) return Promise.resolve(task.id);
    }
    const { queueFull, maxTaskQueueSize } = this.#context.config;
    if (queueFull === "reject")
      throw new WorkerError(`Task queue is full (${String(maxTaskQueueSize)})`, "QUEUE_FULL");
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { checked, payload, resolve, reject };
      this.#waiting.push(waiting);
      this.#stopWaitingOnAbort(waiting, checked.options.signal);
    });
  }

  #stopWaitingOnAbort(waiting: Waiting, signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const onAbort = (): void => {
      const index = this.#waiting.indexOf(waiting);
      if (index >= 0) this.#waiting.splice(index, 1);
      waiting.reject(cancelled(waiting.checked.options.id, signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    waiting.forgetSignal = () => {
      signal.removeEventListener("abort", onAbort);
    };
  }

  /** Takes in what waits for room, as far as there is room. */
  admitWaiting(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      try {
        const task = this.tryAdd(next.checked, next.payload);
        if (task === undefined) return;
        this.#waiting.shift();
        next.forgetSignal?.();
        next.resolve(task.id);
      } catch (error) {
        this.#waiting.shift();
        next.forgetSignal?.();
        next.reject(error as Error);
      }
    }
  }

  rejectWaiting(error: Error): void {
    for (const { reject, forgetSignal } of this.#waiting.splice(0)) {
      forgetSignal?.();
      reject(error);
    }
  }

  /**
   * Takes a task in; undefined: the queue is full.
   *
   * @throws ValidationError, WorkerError
   */
  tryAdd(checked: CheckedTask, payload: unknown): Task | undefined {
    const { options } = checked;
    this.#checkId(options.id);
    if (options.signal?.aborted === true) throw cancelled(options.id, options.signal.reason);
    const dependencies = this.#dependencies(checked.dependencies);
    if (isNativeTask(checked.type, this.#context.config))
      return this.#addNative(checked, payload ?? null, dependencies);
    // Objects that are moved cannot be moved back.
    if (options.transferList !== undefined && this.#isFull()) return undefined;
    const sent = writePayload(payload ?? null, options.transferList);
    const isPosted = sent.posted !== undefined || options.passDependencyResults === true;
    const body = isPosted ? { kind: BodyKind.Posted, content: undefined } : sent.body;
    const task = this.#add(Lane.Script, checked, sent, dependencies, body, extraFields(options));
    if (task === undefined) sent.posted?.port?.close();
    return task;
  }

  /** Takes a task in that runs in Rust. */
  #addNative(checked: CheckedTask, payload: unknown, dependencies: Dependencies): Task | undefined {
    const { request, data } = nativeTask(checked, payload);
    const body = { kind: BodyKind.Native, content: data };
    const sent = { value: payload, body, posted: undefined };
    return this.#add(Lane.Native, checked, sent, dependencies, body, request);
  }

  #add(
    lane: Lane,
    checked: CheckedTask,
    payload: Payload,
    dependencies: Dependencies,
    { kind, content }: Body,
    extra: string | undefined,
  ): Task | undefined {
    const { pool, tasks } = this.#context;
    const { id, number } = this.#nextId(checked.options.id);
    this.#fillNumbers(lane, checked, number, payload.posted, dependencies.hasFailed);
    const key = binding.submitTask(pool, this.#numbers, kind, content, extra, dependencies.keys);
    if (key === undefined || key < 0) return undefined;
    this.#count = number;
    const task = record(checked, payload, id, dependencies.tasks);
    tasks.add(task, key);
    this.#followSignal(task, checked.options.signal);
    this.#context.requestPass();
    this.#context.notify("taskSubmitted", task);
    return task;
  }

  /** Sends a payload as a message, with the results of the dependencies if they are asked for. */
  postPayload(task: Task, thread: PoolThread): void {
    const extras = Task.extrasOf(task);
    const key = Task.keyOf(task);
    const port = extras?.posted === undefined ? post(task.payload, []) : this.#takePort(task, extras.posted);
    const dependencyResults = extras?.passDependencyResults === true ? resultsOf(extras) : undefined;
    thread.send({ kind: "payload", task: key, port, dependencyResults });
  }

  #takePort(task: Task, posted: PostedPayload): MessagePort | undefined {
    const port = posted.port ?? (posted.isSingleUse ? undefined : post(task.payload, []));
    posted.port = undefined;
    return port;
  }

  #checkId(id: string | undefined): void {
    if (id === undefined) return;
    const existing = this.#context.tasks.get(id);
    if (existing !== undefined && !isSettled(existing))
      throw new ValidationError(`Duplicate task id: ${id}`, "id", id);
  }

  /** The id of the next task, and the number that it is counted by. */
  #nextId(given: string | undefined): { id: string; number: number } {
    let number = this.#count + 1;
    if (given !== undefined) {
      this.#hasGivenIds = true;
      return { id: given, number };
    }
    let id = `task-${String(number)}`;
    // A task may have been given such an id.
    while (this.#hasGivenIds && this.#context.tasks.get(id) !== undefined) id = `task-${String(++number)}`;
    return { id, number };
  }

  #dependencies(ids: readonly string[]): Dependencies {
    if (ids.length === 0) return noDependencies;
    const tasks: Task[] = [];
    const keys: number[] = [];
    let hasFailed = false;
    for (const id of ids) {
      const dependency = this.#context.tasks.get(id);
      if (dependency === undefined) throw new WorkerError(`Unknown dependency: ${id}`, "UNKNOWN_DEPENDENCY");
      tasks.push(dependency);
      if (!isSettled(dependency)) keys.push(Task.keyOf(dependency));
      else if (dependency.status !== TaskStatus.COMPLETED) hasFailed = true;
    }
    return { tasks, keys: keys.length === 0 ? undefined : Float64Array.from(keys), hasFailed };
  }

  #isFull(): boolean {
    const { pool, config } = this.#context;
    return (binding.pendingTasks(pool) ?? 0) >= config.maxTaskQueueSize;
  }

  #fillNumbers(
    lane: Lane,
    checked: CheckedTask,
    number: number,
    posted: PostedPayload | undefined,
    hasFailedDependency: boolean,
  ): void {
    const numbers = this.#numbers;
    numbers[Submission.LaneNumber] = lane;
    numbers[Submission.Priority] = checked.priority - 1;
    numbers[Submission.Timeout] = checked.timeout;
    numbers[Submission.MaxRetries] = posted?.isSingleUse === true ? 0 : checked.maxRetries;
    numbers[Submission.RetryDelay] = checked.retryDelay;
    numbers[Submission.Number] = number;
    numbers[Submission.TaskType] = checked.typeIndex;
    numbers[Submission.FairnessKey] = 0;
    numbers[Submission.HasFailedDependency] = hasFailedDependency ? 1 : 0;
  }

  #followSignal(task: Task, signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const onAbort = (): void => {
      this.#cancel(task, signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const forgetSignal = (): void => {
      signal.removeEventListener("abort", onAbort);
    };
    Task.setExtras(task, { ...Task.extrasOf(task), forgetSignal });
  }
}

/** The payload written down, or as a message if it cannot be. */
function writePayload(value: unknown, transferList: readonly TransferListItem[] | undefined): Payload {
  if (transferList === undefined) {
    try {
      return { value, body: written(value ?? undefined), posted: undefined };
    } catch {
      // It may be sendable nevertheless, for example shared memory.
    }
  }
  try {
    const port = post(value, transferList ?? []);
    const isSingleUse = transferList !== undefined && transferList.length > 0;
    return { value, body: { kind: BodyKind.Posted, content: undefined }, posted: { port, isSingleUse } };
  } catch (error) {
    throw new ValidationError(`The payload cannot be sent: ${ownError(error).message}`, "payload", value);
  }
}

function record(
  checked: CheckedTask,
  { value, body, posted }: Payload,
  id: string,
  dependencies: readonly Task[],
): Task {
  const { options } = checked;
  const hasExtras = posted !== undefined || dependencies.length > 0 || options.passDependencyResults === true;
  return new Task({
    id,
    type: checked.type,
    payload: value,
    priority: checked.priority,
    timeout: checked.timeout,
    maxRetries: posted?.isSingleUse === true ? 0 : checked.maxRetries,
    createdAt: Date.now(),
    dependencies: checked.dependencies,
    metadata: options.metadata,
    callback: checked.callback,
    extras: hasExtras
      ? {
          dependencies,
          passDependencyResults: options.passDependencyResults === true,
          ...(posted !== undefined && { posted }),
        }
      : undefined,
    payloadBytes: body.content?.length ?? 0,
  });
}

/** What the task's message has beside the usual fields. */
function extraFields({ id, metadata }: TaskOptions): string | undefined {
  if (id === undefined && metadata === undefined) return undefined;
  try {
    return JSON.stringify({
      ...(id !== undefined && { taskId: id }),
      ...(metadata !== undefined && { metadata }),
    });
  } catch (error) {
    throw new ValidationError(
      `The metadata cannot be sent: ${ownError(error).message}`,
      "metadata",
      metadata,
    );
  }
}

/** Results by the ids of the dependencies. */
function resultsOf({ dependencies = [] }: TaskExtras): Record<string, unknown> {
  return Object.fromEntries(dependencies.map(({ id, result }) => [id, result]));
}

/** What a cancelled task fails with. */
export function cancelled(taskId: string | undefined, reason?: unknown, workerId?: string): WorkerError {
  const message = taskId === undefined ? "The task was cancelled" : `Task ${taskId} was cancelled`;
  return new WorkerError(message, "TASK_CANCELLED", workerId, taskId, reason);
}

/** A port from which the value can be received. */
function post(value: unknown, transferList: readonly TransferListItem[]): MessagePort {
  const { port1, port2 } = new MessageChannel();
  try {
    port1.postMessage(value, transferList);
  } catch (error) {
    port1.close();
    throw error;
  }
  return port2;
}
