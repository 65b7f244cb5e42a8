import type { ManagerContext } from "./context.js";
import { WorkerState } from "./enums.js";
import { WorkerError } from "./errors.js";
import type { PoolThread } from "./pool-thread.js";
import type { ThreadGroup } from "./thread-group.js";

/** Pings idle workers, and replaces those that do not answer. */
export class HealthChecks {
  readonly #context: ManagerContext;
  readonly #threads: ThreadGroup;
  readonly #processActions: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ManagerContext, threads: ThreadGroup, processActions: () => void) {
    this.#context = context;
    this.#threads = threads;
    this.#processActions = processActions;
  }

  /** Checks every `healthCheckInterval` from now on, if the configuration says so. */
  restart(): void {
    this.stop();
    const { enableHealthChecks, healthCheckInterval } = this.#context.config;
    if (!enableHealthChecks || healthCheckInterval === 0) return;
    this.#timer = setInterval(() => void this.checkAll(), healthCheckInterval).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async checkAll(): Promise<void> {
    this.#processActions();
    const idle = this.#threads.all().filter(({ info }) => info.online && info.state === WorkerState.IDLE);
    await Promise.all(idle.map(async (thread) => this.#check(thread)));
  }

  async #check(thread: PoolThread): Promise<void> {
    const { info } = thread;
    const attemptsBefore = attempts(thread);
    const { healthCheckTimeout } = this.#context.config;
    if (await thread.ping(healthCheckTimeout)) return;
    this.#processActions();
    // A worker that took a task meanwhile could not answer: its task's timeout judges it.
    if (info.state !== WorkerState.IDLE || attempts(thread) !== attemptsBefore) return;
    if (!this.#threads.retireIfIdle(thread)) return;
    info.state = WorkerState.UNHEALTHY;
    info.isHealthy = false;
    const message = `Worker ${info.id} did not answer a health check in ${String(healthCheckTimeout)} ms`;
    this.#context.notify("workerError", {
      worker: info,
      error: new WorkerError(message, "WORKER_HEALTH_FAILED", info.id),
    });
    this.#threads.replace(thread);
  }
}

function attempts({ info }: PoolThread): number {
  return info.tasksCompleted + info.tasksFailed;
}
