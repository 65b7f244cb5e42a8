import type { TaskIF } from "./types.js";

interface Entry {
  readonly task: TaskIF;
  readonly lane: Lane;
  /** Place in the order in which tasks were added. */
  readonly order: number;
  previous: Entry | undefined;
  next: Entry | undefined;
}

/** The tasks of one name and priority, first in, first out. */
class Lane {
  readonly priority: number;
  first: Entry | undefined;
  last: Entry | undefined;

  constructor(priority: number) {
    this.priority = priority;
  }
}

/** The tasks that wait for a worker. Every operation takes the same time however many tasks wait. */
export class TaskQueue {
  /** By name; lanes of a higher priority first. */
  readonly #lanes = new Map<string, Lane[]>();
  readonly #entries = new Map<string, Entry>();

  /** Adds a task, behind those of its name and priority or, if it was given back, at its old place. */
  add(task: TaskIF, order: number): void {
    if (this.#entries.has(task.id)) return;
    const lane = this.#lane(task.name, task.priority ?? 0);
    // A task that was given back is the oldest as a rule.
    let previous = lane.first !== undefined && lane.first.order > order ? undefined : lane.last;
    while (previous !== undefined && previous.order > order) previous = previous.previous;
    const next = previous === undefined ? lane.first : previous.next;
    const entry: Entry = { task, lane, order, previous, next };
    if (previous === undefined) lane.first = entry;
    else previous.next = entry;
    if (next === undefined) lane.last = entry;
    else next.previous = entry;
    this.#entries.set(task.id, entry);
  }

  remove(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    const { lane, previous, next } = entry;
    if (previous === undefined) lane.first = next;
    else previous.next = next;
    if (next === undefined) lane.last = previous;
    else next.previous = previous;
    if (lane.first === undefined) this.#dropLane(entry.task.name, lane);
  }

  /** The next task for a worker that can do tasks of these names: highest priority, then the one added first. */
  next(names: readonly string[]): TaskIF | undefined {
    let best: Entry | undefined;
    for (const name of names) {
      const first = this.#lanes.get(name)?.[0]?.first;
      if (first !== undefined && (best === undefined || isBefore(first, best))) best = first;
    }
    return best?.task;
  }

  clear(): void {
    this.#lanes.clear();
    this.#entries.clear();
  }

  #lane(name: string, priority: number): Lane {
    let lanes = this.#lanes.get(name);
    if (lanes === undefined) this.#lanes.set(name, (lanes = []));
    const place = lanes.findIndex((lane) => lane.priority <= priority);
    const found = lanes[place];
    if (found?.priority === priority) return found;
    const lane = new Lane(priority);
    lanes.splice(place < 0 ? lanes.length : place, 0, lane);
    return lane;
  }

  #dropLane(name: string, lane: Lane): void {
    const lanes = this.#lanes.get(name)!;
    lanes.splice(lanes.indexOf(lane), 1);
    if (lanes.length === 0) this.#lanes.delete(name);
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.lane.priority > b.lane.priority || (a.lane.priority === b.lane.priority && a.order < b.order);
}
