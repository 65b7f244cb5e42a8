import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  createWorkerManager,
  type TaskOptions,
  type WorkerManager,
  type WorkerManagerConfig,
  type WorkerManagerEvents,
} from "../../threads.js";

const managers = new Set<WorkerManager>();

/** The path of a worker script or handler module of the tests. */
export function script(name: string): string {
  return join(__dirname, "scripts", name);
}

/** A manager that `shutdownAll` ends. */
export function manage(config: WorkerManagerConfig = {}): WorkerManager {
  const manager = createWorkerManager(config);
  managers.add(manager);
  return manager;
}

/** A manager whose CUSTOM tasks do what their payloads say (scripts/actions.cjs). */
export function manageActions(config: WorkerManagerConfig = {}): WorkerManager {
  return manage({
    minWorkers: 1,
    maxWorkers: 1,
    retryDelay: 1,
    handlers: { CUSTOM: script("actions.cjs") },
    ...config,
  });
}

/** Runs one action of scripts/actions.cjs. */
export async function act<R = unknown>(
  manager: WorkerManager,
  action: string,
  fields: Record<string, unknown> = {},
  options?: TaskOptions,
): Promise<R> {
  return manager.run<R>("CUSTOM", { action, ...fields }, options);
}

export async function shutdownAll(): Promise<void> {
  await Promise.all([...managers].map(async (manager) => manager.shutdown({ force: true })));
  managers.clear();
}

/** The arguments of the next event that fulfils the condition. */
export async function nextEvent<K extends keyof WorkerManagerEvents>(
  manager: WorkerManager,
  event: K,
  isWanted: (...args: WorkerManagerEvents[K]) => boolean = () => true,
): Promise<WorkerManagerEvents[K]> {
  return new Promise((resolve) => {
    const listener = (...args: WorkerManagerEvents[K]): void => {
      if (!isWanted(...args)) return;
      manager.off(event, listener as never);
      resolve(args);
    };
    manager.on(event, listener as never);
  });
}

/** The names and ids of task events, in their order. */
export function recordTaskEvents(manager: WorkerManager): string[] {
  const seen: string[] = [];
  for (const event of [
    "taskAssigned",
    "taskProgress",
    "taskCompleted",
    "taskFailed",
    "taskTimeout",
    "taskCancelled",
    "taskRetry",
  ] as const)
    manager.on(event, ({ task }: { task: { id: string } }) => seen.push(`${event} ${task.id}`));
  manager.on("taskSubmitted", (task) => seen.push(`taskSubmitted ${task.id}`));
  return seen;
}

/** A gate that a task on another thread waits at (`waitFor` of scripts/actions.cjs). */
export class Gate {
  readonly flag = new Int32Array(new SharedArrayBuffer(4));

  open(value = 1): void {
    Atomics.store(this.flag, 0, value);
    Atomics.notify(this.flag, 0);
  }
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("the promise did not reject");
}

/** Resolves when a task on another thread has stored something in the first place. */
export async function storedByThread(flags: Int32Array): Promise<void> {
  while (Atomics.load(flags, 0) === 0) await nextTurn();
}
