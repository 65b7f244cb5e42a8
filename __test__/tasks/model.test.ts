import type { MessageIF } from "../../tasks.js";
import { closeAll, fakeWorkers, silence, type FakeFleet, type FakeWorker } from "./harness.js";

/*
 * Random workers, tasks, failures, closes and calls from inside of callbacks and subscribers. Whatever happens, a worker
 * has at most one task, a callback is called at most once, and once in the end if nothing took the task away.
 */

beforeEach(() => {
  jest.useFakeTimers();
  for (const method of ["error", "warn", "log"] as const) silence(method);
});
afterEach(() => {
  closeAll();
  jest.useRealTimers();
  jest.restoreAllMocks();
});

const NAMES = ["a", "b", "c"];

/** A sequence of numbers from 0 to 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface ModelTask {
  calls: number;
  /** Its callback may stay away. */
  isExcused: boolean;
  controller: AbortController;
}

class Model {
  readonly #fleet: FakeFleet;
  readonly #random: () => number;
  readonly tasks = new Map<string, ModelTask>();
  readonly #answered = new Map<FakeWorker, number>();
  readonly seqs: number[] = [];
  #depth = 0;
  #budget = 150;
  isClosed = false;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.#fleet = fakeWorkers(1 + this.#below(4), NAMES.slice(0, 1 + this.#below(3)), {
      restart: { max: 1000, delay: 5 },
    });
    this.#fleet.manager.events$.subscribe((message) => {
      this.#hear(message);
    });
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** A subscriber that now and then calls back. */
  #hear(message: MessageIF): void {
    this.seqs.push(message.seq!);
    if (this.#random() < 0.05) this.#nested();
  }

  #nested(): void {
    if (this.#depth > 3) return;
    this.#depth++;
    this.act();
    this.#depth--;
  }

  act(): void {
    const choice = this.#random();
    if (choice < 0.4) this.#add();
    else if (choice < 0.75) this.#answer();
    else if (choice < 0.8) this.#failWorker();
    else if (choice < 0.84) this.#delete();
    else if (choice < 0.88) this.#abort();
    else if (choice < 0.92) jest.advanceTimersByTime(this.#below(50));
    else if (choice < 0.95) this.#claimAtWill();
    else if (choice < 0.999) this.readyAll();
    else this.#close();
    this.checkLoad();
  }

  #add(): void {
    if (this.isClosed || this.#budget-- <= 0) return;
    const controller = new AbortController();
    const entry: ModelTask = { calls: 0, isExcused: false, controller };
    const called = (): void => {
      entry.calls++;
      expect(entry.calls).toBe(1);
      if (this.#random() < 0.3) this.#nested();
    };
    const task = this.#fleet.manager.addTask({
      name: NAMES[this.#below(NAMES.length)]!,
      params: this.#random() < 0.05 ? () => {} : 1,
      priority: this.#below(3),
      ...(this.#random() < 0.2 && { timeout: 1 + this.#below(40) }),
      signal: controller.signal,
      onSuccess: called,
      onError: called,
    });
    this.tasks.set(task.id, entry);
  }

  #busy(): FakeWorker[] {
    return this.#fleet.fakes.filter(
      (fake) => !fake.isTerminated && fake.tasks.length > (this.#answered.get(fake) ?? 0),
    );
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }

  #answer(): void {
    const fake = this.#pick(this.#busy());
    if (fake === undefined) return;
    this.#answered.set(fake, fake.tasks.length);
    const last = fake.tasks.at(-1);
    fake.answer(this.#random() < 0.2 ? { error: "no" } : { content: 1 });
    if (this.#random() < 0.1) fake.send({ message: "worker-response", taskId: last, content: 2 });
  }

  #failWorker(): void {
    this.#pick(this.#fleet.fakes.filter(({ isTerminated }) => !isTerminated))?.fail("bang");
  }

  #delete(): void {
    const id = this.#pick([...this.tasks.keys()]);
    if (id === undefined) return;
    this.tasks.get(id)!.isExcused = true;
    this.#fleet.manager.deleteTask(id);
  }

  #abort(): void {
    this.#pick([...this.tasks.values()])?.controller.abort();
  }

  /** A program that claims tasks for workers itself. */
  #claimAtWill(): void {
    const task = this.#fleet.manager.task(this.#pick([...this.tasks.keys()]) ?? "");
    const worker = this.#pick(this.#fleet.browser.workers);
    if (task !== undefined && worker?.tasks.includes(task.name) === true) worker.claim(task);
  }

  readyAll(): void {
    for (const fake of this.#fleet.fakes) if (!fake.isTerminated) fake.ready();
  }

  #close(): void {
    this.isClosed = true;
    if (this.#random() < 0.5) this.#fleet.browser.close();
    this.#fleet.manager.close();
    this.#fleet.browser.close();
  }

  checkLoad(): void {
    for (const fake of this.#fleet.fakes)
      if (!fake.isTerminated)
        expect(fake.tasks.length - (this.#answered.get(fake) ?? 0)).toBeLessThanOrEqual(1);
  }

  /** Lets everything end that can. */
  drain(): void {
    // Nothing comes from inside of callbacks any more.
    this.#depth = Infinity;
    for (let turn = 0; turn < 5000; turn++) {
      jest.advanceTimersByTime(30_000);
      this.readyAll();
      if (this.#busy().length === 0) break;
      this.#answer();
      this.checkLoad();
    }
    expect(this.#busy()).toEqual([]);
  }

  /** Tasks that no worker has in its list stay. */
  isServed(name: string): boolean {
    return this.#fleet.browser.workers.some(({ tasks }) => tasks.includes(name));
  }

  waiting(): string[] {
    const { pending, working } = this.#fleet.manager.status();
    return [...pending, ...working].filter((id) => this.isServed(this.#fleet.manager.task(id)!.name));
  }

  isWaiting(id: string): boolean {
    return this.#fleet.manager.task(id) !== undefined;
  }
}

test.each(Array.from({ length: 400 }, (_, seed) => seed))("random life %d", (seed) => {
  const model = new Model(seed);
  for (let step = 0; step < 120; step++) model.act();
  model.drain();
  expect(model.seqs.every((seq, index) => index === 0 || seq > model.seqs[index - 1]!)).toBe(true);
  expect(model.waiting()).toEqual([]);
  if (model.isClosed) return;
  const missing = [...model.tasks].filter(
    ([id, { calls, isExcused }]) => calls !== 1 && !isExcused && !model.isWaiting(id),
  );
  expect(missing).toEqual([]);
});
