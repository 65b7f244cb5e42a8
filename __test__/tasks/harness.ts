import { join } from "node:path";
import {
  BrowserWorkerManager,
  ServerWorkerManager,
  TaskManager,
  type MessageIF,
  type TaskManagerOptions,
  type TaskWorkerIF,
  type WorkerConfig,
} from "../../tasks.js";

const open = new Set<{ close(): void }>();

/** The path of a worker script of the tests. */
export function script(name: string): string {
  return join(__dirname, "scripts", name);
}

/** Names of all tasks of scripts/actions.cjs. */
export const ACTIONS = [
  ...["echo", "fail", "throw", "exit", "spin", "wait", "bytes", "thread", "hostile", "throwLate"],
];

/** A task manager that `closeAll` closes. */
export function manageTasks(options?: TaskManagerOptions): TaskManager {
  const manager = new TaskManager(options);
  open.add(manager);
  return manager;
}

/** Threads that `closeAll` closes. By default one with scripts/actions.cjs. */
export function manageThreads(
  manager: TaskManager | undefined,
  ...configs: Partial<WorkerConfig>[]
): ServerWorkerManager {
  const all = (configs.length > 0 ? configs : [{}]).map((config) => ({
    tasks: ACTIONS,
    ...(config.create === undefined && { script: script("actions.cjs") }),
    ...config,
  }));
  const threads = new ServerWorkerManager({
    ...(manager !== undefined && { manager }),
    configs: all as never,
  });
  open.add(threads);
  return threads;
}

export function closeAll(): void {
  for (const one of open) one.close();
  open.clear();
}

/** The next message that fulfils the condition. */
export async function nextMessage(
  manager: TaskManager,
  isWanted: (message: MessageIF) => boolean,
): Promise<MessageIF> {
  return new Promise((resolve) => {
    const subscription = manager.events$.subscribe((message) => {
      if (!isWanted(message)) return;
      subscription.unsubscribe();
      resolve(message);
    });
  });
}

/** Resolves when the worker has the status. */
export async function reached(manager: TaskManager, worker: TaskWorkerIF, status: string): Promise<void> {
  if (worker.status === status) return;
  await nextMessage(manager, ({ workerId }) => workerId === worker.id && worker.status === status);
}

/** Adds a task; resolves to the response that its callbacks get. */
export async function respond(
  manager: TaskManager,
  name: string,
  params?: unknown,
  options: { timeout?: number; signal?: AbortSignal; priority?: number; transfer?: object[] } = {},
): Promise<MessageIF> {
  return new Promise((resolve) => {
    manager.addTask({ name, params, ...options, onSuccess: resolve, onError: resolve });
  });
}

/** A Web Worker that does what the test says. */
export class FakeWorker {
  readonly posted: any[] = [];
  isTerminated = false;
  readonly #listeners = new Map<string, (event: any) => void>();

  postMessage(message: any): void {
    this.posted.push(structuredClone(message));
  }

  terminate(): void {
    this.isTerminated = true;
  }

  addEventListener(type: string, listener: (event: any) => void): void {
    this.#listeners.set(type, listener);
  }

  /** Sends a message, as the script of the worker would. */
  send(data: unknown): void {
    this.#listeners.get("message")!({ data });
  }

  fail(message: string): void {
    this.#listeners.get("error")!({ message, preventDefault() {} });
  }

  get id(): string {
    return this.posted[0].id;
  }

  /** The ids of the tasks that it has got. */
  get tasks(): string[] {
    return this.posted.filter(({ message }) => message === "worker-work").map(({ taskId }) => taskId);
  }

  ready(): this {
    this.send({ message: "worker-ready", workerId: this.id, content: { tasks: [] } });
    return this;
  }

  /** Answers the last task. */
  answer(fields: Record<string, unknown> = { content: "done" }): void {
    this.send({ message: "worker-response", taskId: this.tasks.at(-1), workerId: this.id, ...fields });
  }
}

export interface FakeFleet {
  manager: TaskManager;
  browser: BrowserWorkerManager;
  /** In the order they were made; a restart adds one. */
  fakes: FakeWorker[];
}

/** Workers of fakes, all ready. */
export function fakeWorkers(
  count: number,
  tasks = ["a"],
  config: Partial<WorkerConfig<FakeWorker>> = {},
  manager = manageTasks(),
): FakeFleet {
  const fakes: FakeWorker[] = [];
  const create = (): FakeWorker => {
    const fake = new FakeWorker();
    fakes.push(fake);
    return fake;
  };
  const browser = new BrowserWorkerManager({ manager, configs: [{ tasks, create, count, ...config }] });
  open.add(browser);
  for (const fake of fakes) fake.ready();
  return { manager, browser, fakes };
}

/** Does not print what is expected to be logged. Returns the calls. */
export function silence(method: "error" | "log" | "warn"): jest.SpyInstance {
  return jest.spyOn(console, method).mockImplementation(() => {});
}
