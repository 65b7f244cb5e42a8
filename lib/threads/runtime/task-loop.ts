import { receiveMessageOnPort, type MessagePort, type TransferListItem } from "node:worker_threads";
import { read, written, type Body } from "../body.js";
import { binding, BodyKind, NoTask, OutcomeKind, Taken } from "../native.js";
import type { ControlPort } from "./control-port.js";
import { errorFields, isFinalError } from "./error-fields.js";
import type { TaskMessage, ThreadSetup } from "./messages.js";

/** Tasks and milliseconds after which the thread's other events get their turn. */
const TASKS_PER_TURN = 256;
const MS_PER_TURN = 5;

/** What a running task can do beside returning. */
export interface TaskControls {
  /** Aborted when the task is to end. */
  readonly signal: AbortSignal;
  /** Reports progress. */
  progress(value: number): void;
}

/** Runs tasks: a script or handler modules. */
export interface TaskRunner {
  /** Returns the result, or a promise of it. What it throws is the task's error. */
  run(message: TaskMessage, controls: TaskControls): unknown;
}

/** A result whose objects are moved instead of copied. */
export class Transferred {
  constructor(
    readonly value: unknown,
    readonly transferList: readonly TransferListItem[],
  ) {}
}

/** Takes tasks from the pool's queue, one after the other, and reports how they went. */
export class TaskLoop {
  readonly #setup: ThreadSetup;
  readonly #control: ControlPort;
  readonly #runner: TaskRunner;
  readonly #numbers = new Float64Array(Taken.Length);
  #isBusy = false;
  #current: RunningTask | undefined;

  constructor(setup: ThreadSetup, control: ControlPort, runner: TaskRunner) {
    this.#setup = setup;
    this.#control = control;
    this.#runner = runner;
    control.onAbort = (task, reason) => {
      if (this.#current?.key === task) this.#current.abort(reason);
    };
  }

  start(): void {
    binding.NativeThreadPool.attach(this.#setup.pool, this.#setup.slot, this.#takeTasks);
    setImmediate(this.#takeTasks);
  }

  readonly #takeTasks = (): void => {
    const turnEnd = performance.now() + MS_PER_TURN;
    for (let count = 1; !this.#isBusy; count++) {
      if (!this.#takeTask()) return;
      // The clock is read once for several tasks.
      if (count >= TASKS_PER_TURN || ((count & 15) === 0 && performance.now() > turnEnd)) {
        setImmediate(this.#takeTasks);
        return;
      }
    }
  };

  /** False: there is none now. */
  #takeTask(): boolean {
    const numbers = this.#numbers;
    const payload = binding.takeTask(this.#setup.pool, this.#setup.slot, numbers);
    const key = numbers[Taken.Task] ?? NoTask.Ever;
    if (key < 0) return false;
    this.#isBusy = true;
    const kind = numbers[Taken.PayloadKind] as BodyKind;
    const fields = this.#fields(key);
    if (kind === BodyKind.Posted) void this.#runPosted(key, fields);
    else this.#run(key, { ...fields, payload: read(kind, payload) ?? null });
    return true;
  }

  #fields(key: number): TaskMessage {
    const numbers = this.#numbers;
    const fields = {
      type: "task" as const,
      taskId: `task-${String(numbers[Taken.Number])}`,
      payload: null,
      taskType: this.#setup.taskTypes[numbers[Taken.TaskType] ?? 0] ?? "CUSTOM",
      attempt: (numbers[Taken.RetryCount] ?? 0) + 1,
      timeout: numbers[Taken.Timeout] ?? Infinity,
    };
    if (numbers[Taken.HasExtra] !== 1) return fields;
    const extra = binding.taskExtra(this.#setup.pool, key) ?? "{}";
    return { ...fields, ...(JSON.parse(extra) as Partial<TaskMessage>) };
  }

  async #runPosted(key: number, fields: TaskMessage): Promise<void> {
    const { port, dependencyResults } = await this.#control.payloadOf(key);
    const payload = port === undefined ? null : receiveFrom(port);
    this.#run(
      key,
      dependencyResults === undefined ? { ...fields, payload } : { ...fields, payload, dependencyResults },
    );
    // The loop has ended meanwhile.
    if (!this.#isBusy) this.#takeTasks();
  }

  #run(key: number, message: TaskMessage): void {
    const running: RunningTask = new RunningTask(key, (value) => {
      // What a task reports after its end could be taken for a later task's.
      if (this.#current === running) binding.reportProgress(this.#setup.pool, this.#setup.slot, key, value);
    });
    this.#current = running;
    let result: unknown;
    try {
      result = this.#runner.run(message, running);
    } catch (error) {
      this.#fail(key, error);
      return;
    }
    if (isThenable(result)) void this.#awaitResult(key, result);
    else this.#complete(key, result);
  }

  async #awaitResult(key: number, result: PromiseLike<unknown>): Promise<void> {
    try {
      this.#complete(key, await result);
    } catch (error) {
      this.#fail(key, error);
    }
    this.#takeTasks();
  }

  #complete(key: number, result: unknown): void {
    let body: Body;
    try {
      body = this.#resultBody(key, result);
    } catch (error) {
      this.#fail(key, error);
      return;
    }
    this.#finish(key, body, OutcomeKind.Completed);
  }

  #resultBody(key: number, result: unknown): Body {
    if (!(result instanceof Transferred)) {
      try {
        return written(result);
      } catch {
        // Some things can be sent but not written down, for example a MessagePort's peers or shared memory.
      }
    }
    const { value, transferList } = result instanceof Transferred ? result : new Transferred(result, []);
    this.#control.sendPosted(key, value, transferList);
    return { kind: BodyKind.Posted, content: undefined };
  }

  #fail(key: number, error: unknown): void {
    const outcome = isFinalError(error) ? OutcomeKind.FailedForGood : OutcomeKind.Failed;
    this.#finish(key, { kind: BodyKind.Text, content: JSON.stringify(errorFields(error)) }, outcome);
  }

  #finish(key: number, { kind, content }: Body, outcome: OutcomeKind): void {
    this.#isBusy = false;
    this.#current = undefined;
    binding.finishTask(this.#setup.pool, this.#setup.slot, key, kind, content, outcome);
  }
}

/** The abort controller is made only for those who ask for the signal. */
class RunningTask implements TaskControls {
  readonly key: number;
  readonly progress: (value: number) => void;
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  constructor(key: number, progress: (value: number) => void) {
    this.key = key;
    this.progress = (value) => {
      if (typeof value === "number" && Number.isFinite(value)) progress(value);
    };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  abort(reason: string): void {
    this.#reason = Object.assign(new Error(reason), { name: "AbortError", code: "ABORT_ERR" });
    this.#controller?.abort(this.#reason);
  }
}

function receiveFrom(port: MessagePort): unknown {
  const received = receiveMessageOnPort(port) as { message: unknown } | undefined;
  port.close();
  return received?.message;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
