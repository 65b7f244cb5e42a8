import { TASK_MESSAGES, WORKER_STATUS, type WorkerStatusValue } from "./constants.js";
import { newId } from "./ids.js";
import type { MessageIF, TaskIF, TaskManagerIF, TaskWorkerIF, WorkerConfig } from "./types.js";
import { RestartPolicy, sourceOf, type WorkerSource } from "./worker-config.js";
import type { OpenLink, WorkerLink } from "./worker-link.js";

/** What a worker asks of the manager that made it. */
export interface WorkerOwner {
  readonly taskManager?: TaskManagerIF | undefined;
}

/** One worker: its script, its status, and the one task that it runs. */
export class TaskWorker<W> implements TaskWorkerIF {
  readonly id: string = newId();
  /** Names of the tasks that the worker can do. */
  readonly tasks: string[];
  /** Path or URL of the script; empty if `create` makes the worker. */
  readonly script: string;
  readonly #source: WorkerSource<W>;
  readonly #open: OpenLink<W>;
  readonly #restarts: RestartPolicy;
  #owner: WorkerOwner | undefined;
  #taskManager: TaskManagerIF | undefined;
  #subscription: { unsubscribe(): void } | undefined;
  #status: WorkerStatusValue = WORKER_STATUS.OFFLINE;
  #error: string | undefined;
  #link: WorkerLink | undefined;
  /** Whether the worker keeps the process alive; one that starts does. */
  #keepsAlive = true;
  /** The task that the script runs. The script has at most one. */
  #current: TaskIF | undefined;
  /** The task that was claimed and neither granted nor refused. */
  #claimed: string | undefined;
  #timeout: ReturnType<typeof setTimeout> | undefined;
  #restart: ReturnType<typeof setTimeout> | undefined;
  /** The script was ready at least once, so a later failure may be passing. */
  #hasBeenReady = false;

  /** @throws TaskError with code `INVALID_OPTION` if the configuration is not valid */
  constructor(owner: WorkerOwner | undefined, config: WorkerConfig<W>, open: OpenLink<W>) {
    this.#source = sourceOf(config);
    this.#restarts = new RestartPolicy(config.restart);
    this.#open = open;
    this.tasks = [...(config.tasks ?? [])];
    this.script = String(config.script ?? "");
    this.owner = owner;
    this.#start();
  }

  get status(): WorkerStatusValue {
    return this.#status;
  }

  /** "available" is taken only by a worker whose script is ready and has no task, and nothing by a closed one. */
  set status(status: WorkerStatusValue) {
    if (this.#status === WORKER_STATUS.CLOSED) return;
    const isReady = this.#status !== WORKER_STATUS.OFFLINE && this.#current === undefined;
    if (status === WORKER_STATUS.AVAILABLE && !isReady) return;
    this.#status = status;
  }

  /** Why the script failed the last time. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Whether the worker can take a task now: it is available and has claimed none. */
  get isFree(): boolean {
    return this.#status === WORKER_STATUS.AVAILABLE && this.#claimed === undefined;
  }

  protected get owner(): WorkerOwner | undefined {
    return this.#owner;
  }

  protected set owner(owner: WorkerOwner | undefined) {
    this.#owner = owner;
    if (owner === undefined) this.#stopListening();
    else if (owner.taskManager !== undefined) this.listenToTaskManager(owner.taskManager);
  }

  /** Whether the worker takes the task of a message now. Undefined if it is busy or not ready, false if it is closed. */
  canDo(message: MessageIF): boolean | undefined {
    if (this.#status === WORKER_STATUS.CLOSED) return false;
    if (this.#status !== WORKER_STATUS.AVAILABLE) return undefined;
    return this.tasks.includes(message.content?.name);
  }

  /** Asks the task manager for a task. */
  claim(task: TaskIF): void {
    if (this.#status === WORKER_STATUS.CLOSED) {
      console.warn(`Worker ${this.id} is closed and cannot claim tasks`);
      return;
    }
    if (this.#taskManager === undefined) return;
    this.#claimed = task.id;
    this.#emit({ message: TASK_MESSAGES.TASK_CLAIM, taskId: task.id });
  }

  /** Takes tasks of this task manager, and of no other one. */
  listenToTaskManager(manager: TaskManagerIF): void {
    this.#stopListening();
    this.#taskManager = manager;
    this.#subscription = manager.events$.subscribe((message) => {
      this.#hear(message);
    });
  }

  /** Ends the script. The callbacks of a task that it runs are not called. May be called again. */
  close(): void {
    if (this.#status === WORKER_STATUS.CLOSED) return;
    this.#stopScript();
    this.#status = WORKER_STATUS.CLOSED;
    this.owner = undefined;
  }

  #stopListening(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#taskManager = undefined;
    this.#claimed = undefined;
  }

  #start(): void {
    let link: WorkerLink | undefined;
    // What a replaced script still sends is nobody's.
    const isCurrent = (): boolean => link === undefined || link === this.#link;
    try {
      link = this.#open(this.#source, {
        onMessage: (data) => {
          if (isCurrent()) this.#receive(data);
        },
        onFailure: (reason, cause) => {
          if (isCurrent()) this.#failScript(reason, cause);
        },
        onExit: (code) => {
          if (isCurrent()) this.#failWorker(`Worker ${this.id} exited with code ${code}`);
        },
      });
      this.#link = link;
      this.#keepsAlive = true;
      link.post({ message: TASK_MESSAGES.INIT_WORKER, id: this.id, content: this.tasks }, []);
    } catch (error) {
      this.#failScript(errorText(error), error, true);
    }
  }

  #hear({ message, taskId, workerId, content }: MessageIF): void {
    switch (message) {
      case TASK_MESSAGES.TASK_CLAIM:
        if (workerId === this.id) this.#checkClaim(taskId);
        break;
      case TASK_MESSAGES.TASK_CLAIM_GRANTED:
        if (workerId === this.id) this.#run(content as TaskIF);
        break;
      case TASK_MESSAGES.RELEASE_CLAIM:
        if (workerId === this.id && taskId === this.#claimed) this.#claimed = undefined;
        break;
      case TASK_MESSAGES.TASK_AVAILABLE:
        if (this.isFree && isWaiting(content) && this.canDo({ message, content }) === true)
          this.claim(content);
        break;
      case TASK_MESSAGES.WORKER_RESPONSE:
        // Somebody else has ended the task that the script still runs.
        if (taskId !== undefined && taskId === this.#current?.id) this.#replaceScript();
    }
  }

  /** The task manager has decided on the claim before this is called. */
  #checkClaim(taskId: string | undefined): void {
    if (taskId === undefined || taskId !== this.#claimed) return;
    // The grant comes next, unless the script has the task already.
    const isGranted = this.#taskManager?.task(taskId)?.assignedWorker === this.id;
    if (isGranted && taskId !== this.#current?.id) return;
    this.#claimed = undefined;
    // Tasks may have passed by in the meantime.
    if (this.isFree) this.#emit({ message: TASK_MESSAGES.WORKER_READY, content: this });
  }

  #run(task: TaskIF): void {
    if (this.#claimed === task.id) this.#claimed = undefined;
    if (this.#status === WORKER_STATUS.CLOSED) {
      console.warn(`Worker ${this.id} is closed and cannot start tasks`);
      return;
    }
    if (this.#status !== WORKER_STATUS.AVAILABLE) {
      this.#emit({ message: TASK_MESSAGES.RELEASE_CLAIM, taskId: task.id });
      return;
    }
    // It has ended since the grant was sent.
    if (this.#taskManager?.task(task.id) === undefined) {
      this.#emit({ message: TASK_MESSAGES.WORKER_READY, content: this });
      return;
    }
    this.#current = task;
    this.#status = WORKER_STATUS.WORKING;
    try {
      const { id, name, params, status, assignedWorker } = task;
      this.#link!.post(
        {
          message: TASK_MESSAGES.WORKER_WORK,
          taskId: id,
          content: { id, name, params, status, assignedWorker },
          workerId: this.id,
        },
        task.transfer ?? [],
      );
    } catch (error) {
      this.#finish({ message: TASK_MESSAGES.WORKER_RESPONSE, taskId: task.id, error: errorText(error) });
      return;
    }
    this.#keepAlive(true);
    if (task.timeout !== undefined) this.#limitTime(task, task.timeout);
    this.#showUpdate();
  }

  #limitTime(task: TaskIF, timeout: number): void {
    this.#timeout = setTimeout(() => {
      const error = `Task ${task.id} timed out after ${timeout} ms`;
      this.#emit({ message: TASK_MESSAGES.WORKER_RESPONSE, taskId: task.id, error });
      // The task manager may have been closed.
      if (this.#current === task) this.#replaceScript();
    }, timeout);
  }

  #receive(data: unknown): void {
    if (typeof data !== "object" || data === null) return;
    const message = data as MessageIF;
    switch (message.message) {
      case TASK_MESSAGES.WORKER_READY:
        if (message.workerId === this.id && this.#status === WORKER_STATUS.OFFLINE) this.#becomeReady();
        break;
      case TASK_MESSAGES.WORKER_RESPONSE:
        // An answer to no task, a second answer, or one for another task is ignored.
        if (this.#current !== undefined && message.taskId === this.#current.id) {
          this.#restarts.recordSuccess();
          this.#finish(message);
        }
        break;
      default:
        console.log("unknown worker message", data);
    }
  }

  #becomeReady(): void {
    this.#hasBeenReady = true;
    this.#status = WORKER_STATUS.AVAILABLE;
    this.#emit({ message: TASK_MESSAGES.WORKER_READY, content: this });
    if (this.#current === undefined) this.#keepAlive(false);
  }

  /** Says it only when it changes. */
  #keepAlive(isNeeded: boolean): void {
    if (this.#keepsAlive === isNeeded) return;
    this.#keepsAlive = isNeeded;
    this.#link?.keepAlive(isNeeded);
  }

  /** Ends the current task with a response. The next task may start inside of this. */
  #finish(response: MessageIF): void {
    this.#clearCurrent();
    this.#emit(response);
    if (this.#status === WORKER_STATUS.CLOSED || this.#current !== undefined) return;
    this.status = WORKER_STATUS.AVAILABLE;
    this.#showUpdate();
    this.#emit({ message: TASK_MESSAGES.WORKER_READY, content: this });
    // Only now, for the next task has started inside of this as a rule.
    if (this.#current === undefined) this.#keepAlive(false);
  }

  #clearCurrent(): TaskIF | undefined {
    clearTimeout(this.#timeout);
    const task = this.#current;
    this.#current = undefined;
    return task;
  }

  /** `isTold` adds the reason to `error`. */
  #failScript(reason: string | undefined, cause: unknown, isTold = this.#source.create !== undefined): void {
    console.error("Worker script failed to load:", this.script, cause);
    const error = `Failed to load worker script: ${this.script}`;
    this.#failWorker(reason || `Worker ${this.id} failed`, isTold && reason ? `${error} (${reason})` : error);
  }

  /** Fails the current task, and starts the script again or closes the worker. */
  #failWorker(reason: string, error = reason): void {
    const task = this.#stopScript();
    this.#error = error;
    const delay = this.#hasBeenReady ? this.#restarts.delayAfterFailure() : undefined;
    if (delay === undefined) this.#status = WORKER_STATUS.CLOSED;
    else this.#scheduleRestart(delay);
    if (task !== undefined)
      this.#emit({ message: TASK_MESSAGES.WORKER_RESPONSE, taskId: task.id, error: reason });
    this.#showUpdate(error);
    if (delay === undefined) this.owner = undefined;
  }

  #scheduleRestart(delay: number): void {
    this.#restart = setTimeout(() => {
      this.#start();
    }, delay);
  }

  /** Ends a script whose task was ended by somebody else: a timeout, a signal, or a message of the user. */
  #replaceScript(): void {
    this.#stopScript();
    if (this.#restarts.isAllowed) {
      this.#start();
      this.#showUpdate();
      return;
    }
    this.#status = WORKER_STATUS.CLOSED;
    this.#showUpdate();
    this.owner = undefined;
  }

  /** Returns the task that the script ran. */
  #stopScript(): TaskIF | undefined {
    clearTimeout(this.#restart);
    const link = this.#link;
    this.#link = undefined;
    this.#status = WORKER_STATUS.OFFLINE;
    link?.close();
    return this.#clearCurrent();
  }

  #showUpdate(error?: string): void {
    const content = error === undefined ? { new: this } : { new: this, error };
    this.#emit({ message: TASK_MESSAGES.WORKER_UPDATED, content });
  }

  /** The worker's own id is on its messages, whatever its script sends. */
  #emit(message: MessageIF): void {
    message.workerId = this.id;
    this.#taskManager?.emit(message);
  }
}

function isWaiting(task: TaskIF | undefined): task is TaskIF {
  return task?.status === "new" && task.assignedWorker === undefined;
}

function errorText(error: unknown): string {
  const text = String((error as { message?: unknown } | undefined)?.message ?? error);
  return text === "" ? "unknown error" : text;
}
