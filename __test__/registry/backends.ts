import {
  ClaudeFlowMemory,
  type MemoryStore,
  WorkerRegistry,
  type WorkerRegistryConfig,
} from "../../registry.js";

/** A store that a user has written: a map of strings, which forgets expired values when they are read. */
export class MapStore implements MemoryStore {
  readonly entries = new Map<string, { value: string; end: number }>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async store(key: string, value: string, ttl?: number): Promise<void> {
    this.put(key, value, ttl);
  }

  async get(key: string): Promise<string | null> {
    return this.peek(key) ?? null;
  }

  protected put(key: string, value: string, ttl?: number): void {
    this.entries.set(key, { value, end: ttl ? this.#now() + ttl : Infinity });
  }

  protected peek(key: string): string | undefined {
    const entry = this.entries.get(key);
    if (entry !== undefined && this.#now() > entry.end) this.entries.delete(key);
    return this.entries.get(key)?.value;
  }

  async delete(key: string): Promise<void> {
    this.entries.delete(key);
  }

  async search(pattern: string): Promise<Array<{ key: string; value: string }>> {
    const keys = (await this.list()).filter((key) => key.startsWith(pattern.replace("*", "")));
    return keys.map((key) => ({ key, value: this.entries.get(key)!.value }));
  }

  async list(namespace = ""): Promise<string[]> {
    return [...this.entries.keys()].filter((key) => key.startsWith(namespace));
  }
}

/** As that, with a step that compares and sets. */
export class ComparingStore extends MapStore {
  async compareAndSet(key: string, expected: string | null, value: string, ttl?: number): Promise<boolean> {
    const isExpected = (this.peek(key) ?? null) === expected;
    if (isExpected) this.put(key, value, ttl);
    return isExpected;
  }
}

/** As that, with a step that replaces a value. */
export class UpdatingStore extends MapStore {
  async update(key: string, change: (value: string | null) => string | null, ttl?: number): Promise<void> {
    const after = change(this.peek(key) ?? null);
    if (after !== null) this.put(key, after, ttl);
  }
}

/** A registry and the clock that it goes by. */
export interface Stage {
  registry: WorkerRegistry;
  memory: MemoryStore;
  clock: { now: number };
}

export type Backend = (config?: WorkerRegistryConfig) => Stage;

const START = 1_700_000_000_000;

function stageOn(create: (now: () => number) => MemoryStore): Backend {
  return (config = {}) => {
    const clock = { now: START };
    const now = (): number => clock.now;
    const memory = create(now);
    return { registry: new WorkerRegistry({ memory, now, ...config }), memory, clock };
  };
}

/** Every kind of store in this process. */
export const backends: Array<[string, Backend]> = [
  ["the embedded store", stageOn(() => new ClaudeFlowMemory())],
  ["a store with five methods", stageOn((now) => new MapStore(now))],
  ["a store with compareAndSet", stageOn((now) => new ComparingStore(now))],
  ["a store with update", stageOn((now) => new UpdatingStore(now))],
];
