import { ClaudeFlowMemory, type MemoryEvent, WorkerRegistry } from "../../registry.js";

test("values are stored, replaced, listed in order and forgotten", async () => {
  const memory = new ClaudeFlowMemory();
  await memory.store("b/1", "one");
  await memory.store("a/1", "ä\n\0\u{1F600}");
  await memory.store("b/2", "");
  await memory.store("b/1", "other");
  expect(await memory.get("b/1")).toBe("other");
  expect(await memory.get("a/1")).toBe("ä\n\0\u{1F600}");
  expect(await memory.get("b/2")).toBe("");
  expect(await memory.get("none")).toBeNull();
  expect(await memory.list()).toEqual(["b/1", "a/1", "b/2"]);
  expect(await memory.list("b/")).toEqual(["b/1", "b/2"]);
  expect(memory.size).toBe(3);
  await memory.delete("b/1");
  await memory.delete("b/1");
  expect(await memory.list("b")).toEqual(["b/2"]);
  memory.clear();
  expect(memory.size).toBe(0);
  expect(await memory.list()).toEqual([]);
});

test("a pattern matches the whole key; only the star means something", async () => {
  const memory = new ClaudeFlowMemory();
  for (const key of ["workers/1", "workers/1/deep", "old/workers/1", "a.b", "aXb", "(", "a?"]) {
    await memory.store(key, key);
  }
  const find = async (pattern: string): Promise<string[]> =>
    (await memory.search(pattern)).map(({ key, value }) => {
      expect(value).toBe(key);
      return key;
    });
  expect(await find("workers/*")).toEqual(["workers/1", "workers/1/deep"]);
  expect(await find("*workers/1")).toEqual(["workers/1", "old/workers/1"]);
  expect(await find("a.b")).toEqual(["a.b"]);
  expect(await find("(")).toEqual(["("]);
  expect(await find("a?")).toEqual(["a?"]);
  expect(await find("*/*/*")).toEqual(["workers/1/deep", "old/workers/1"]);
  expect(await find("*")).toHaveLength(7);
});

describe("with a clock", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test("a value expires when more than its time to live has passed", async () => {
    const memory = new ClaudeFlowMemory();
    await memory.store("short", "1", 100);
    await memory.store("kept", "1", 100);
    await memory.store("kept", "2");
    await memory.store("zero", "1", 0);
    jest.setSystemTime(Date.now() + 100);
    expect(await memory.get("short")).toBe("1");
    jest.setSystemTime(Date.now() + 1);
    expect(await memory.get("short")).toBeNull();
    expect(await memory.list()).toEqual(["kept", "zero"]);
  });

  test("keys that nobody reads are forgotten all the same", async () => {
    const memory = new ClaudeFlowMemory();
    for (let index = 0; index < 1_000; index += 1) await memory.store(`key-${index}`, "value", 100);
    jest.setSystemTime(Date.now() + 101);
    expect(memory.size).toBe(0);
  });

  test("a watcher hears of each change, of expiry without a call", async () => {
    const memory = new ClaudeFlowMemory();
    const events: MemoryEvent[] = [];
    const unwatch = memory.watch("a/", (event) => events.push(event));
    await memory.store("a/1", "1");
    await memory.store("b/1", "1");
    await memory.delete("a/1");
    await memory.store("a/2", "1", 50);
    await jest.advanceTimersByTimeAsync(52);
    expect(events).toEqual([
      { type: "set", key: "a/1" },
      { type: "delete", key: "a/1" },
      { type: "set", key: "a/2" },
      { type: "expire", key: "a/2" },
    ]);
    unwatch();
    unwatch();
    await memory.store("a/3", "1", 50);
    await jest.advanceTimersByTimeAsync(100);
    expect(events).toHaveLength(4);
    expect(jest.getTimerCount()).toBe(0);
  });
});

test("a value is set only if it is the expected one", async () => {
  const memory = new ClaudeFlowMemory();
  expect(await memory.compareAndSet("key", "1", "2")).toBe(false);
  expect(await memory.compareAndSet("key", null, "1")).toBe(true);
  expect(await memory.compareAndSet("key", null, "2")).toBe(false);
  expect(await memory.compareAndSet("key", "1", "2")).toBe(true);
  expect(await memory.get("key")).toBe("2");
});

test("a store that is full refuses new keys only", async () => {
  const memory = new ClaudeFlowMemory({ maxKeys: 2 });
  await memory.store("a", "1");
  await memory.store("b", "1");
  await expect(memory.store("c", "1")).rejects.toMatchObject({ code: "STORE_FULL" });
  await memory.store("a", "2");
  await memory.delete("b");
  await memory.store("c", "1");
  expect(await memory.list()).toEqual(["a", "c"]);
  await expect(memory.compareAndSet("d", null, "1")).rejects.toMatchObject({ code: "STORE_FULL" });
  const registry = new WorkerRegistry({ memory });
  const registration = { nodeId: "node-1", capabilities: [], maxConcurrentTasks: 1 };
  await expect(registry.registerWorker(registration)).rejects.toMatchObject({ code: "STORE_FULL" });
  expect(await memory.list()).toEqual(["a", "c"]);
});

test("what is no string is refused", async () => {
  const memory = new ClaudeFlowMemory();
  for (const call of [
    memory.store("key", 5 as never),
    memory.store(5 as never, "value"),
    memory.store("key", "value", -1),
    memory.store("key", "value", NaN),
    memory.get(undefined as never),
    memory.delete(null as never),
    memory.search(/x/ as never),
    memory.list({} as never),
    memory.compareAndSet("key", 5 as never, "value"),
  ]) {
    await expect(call).rejects.toThrow(TypeError);
  }
  expect(() => new ClaudeFlowMemory({ maxKeys: 0 })).toThrow(TypeError);
  expect(() => new ClaudeFlowMemory({ persistPath: "" })).toThrow(TypeError);
  expect(() => new ClaudeFlowMemory({ fsync: "sometimes" as never })).toThrow(TypeError);
});
