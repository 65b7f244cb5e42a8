import { Task } from "./task.js";

/** Bytes of payloads and results that settled tasks may hold together. */
const MOST_HISTORY_BYTES = 64 * 1024 * 1024;

/** The tasks that are known: by their ids, and by their keys on the native side while they are not settled. */
export class TaskTable {
  readonly #byId = new Map<string, Task>();
  readonly #byKey: (Task | undefined)[] = [];
  /** Settled tasks, the oldest first, from `#oldest` on. */
  #settled: { task: Task; bytes: number }[] = [];
  #oldest = 0;
  #settledBytes = 0;
  #historySize: number;
  #unsettled = 0;

  constructor(historySize: number) {
    this.#historySize = historySize;
  }

  /** Tasks without an outcome. */
  get unsettled(): number {
    return this.#unsettled;
  }

  setHistorySize(historySize: number): void {
    this.#historySize = historySize;
    this.#forgetOldest();
  }

  get(id: string): Task | undefined {
    return this.#byId.get(id);
  }

  byKey(key: number): Task | undefined {
    return this.#byKey[key];
  }

  add(task: Task, key: number): void {
    Task.setKey(task, key);
    this.#byKey[key] = task;
    this.#byId.set(task.id, task);
    this.#unsettled++;
  }

  /** All tasks without an outcome. */
  allUnsettled(): Task[] {
    return this.#byKey.filter((task) => task !== undefined);
  }

  /** The task has its outcome; it stays known for a while. `bytes` is what it holds beside itself. */
  settle(task: Task, bytes: number): void {
    this.#byKey[Task.keyOf(task)] = undefined;
    Task.setKey(task, -1);
    this.#unsettled--;
    this.#settled.push({ task, bytes });
    this.#settledBytes += bytes;
    this.#forgetOldest();
  }

  #forgetOldest(): void {
    while (
      this.#settled.length - this.#oldest > this.#historySize ||
      (this.#settledBytes > MOST_HISTORY_BYTES && this.#oldest < this.#settled.length)
    ) {
      const entry = this.#settled[this.#oldest++];
      if (entry === undefined) break;
      this.#settledBytes -= entry.bytes;
      // A later task may have taken the id.
      if (this.#byId.get(entry.task.id) === entry.task) this.#byId.delete(entry.task.id);
    }
    if (this.#oldest > 1024 && this.#oldest * 2 > this.#settled.length) {
      this.#settled = this.#settled.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}
