import type { MemoryEvent } from "../../registry.js";
import { eventually, node } from "./harness";
import { registryOn, registryWith, storeOn, useRedis } from "./redis-harness";

const redis = useRedis();

test("values are set, found, listed and forgotten", async () => {
  const store = storeOn({ url: redis().url });
  await store.store("a/1", "ä\n\0", 60_000);
  await store.store("a/2", "");
  await store.store("b[*]?", "pattern");
  expect(await store.get("a/1")).toBe("ä\n\0");
  expect(await store.get("a/2")).toBe("");
  expect(await store.get("none")).toBeNull();
  expect((await store.list("a/")).sort()).toEqual(["a/1", "a/2"]);
  expect(await store.list("b[*]")).toEqual(["b[*]?"]);
  expect((await store.list()).sort()).toEqual(["a/1", "a/2", "b[*]?"]);
  expect(await store.search("b[*")).toEqual([{ key: "b[*]?", value: "pattern" }]);
  expect(await store.search("a.1")).toEqual([]);
  await store.delete("a/1");
  await store.delete("a/1");
  expect(await store.get("a/1")).toBeNull();
});

test("a value expires; a new one replaces its time to live", async () => {
  const store = storeOn({ url: redis().url });
  await store.store("short", "1", 5);
  await store.store("kept", "1", 5);
  await store.store("kept", "2");
  await eventually(async () => (await store.get("short")) === null, "the value expires");
  expect(await store.get("kept")).toBe("2");
});

test("a value is set only if it is the expected one", async () => {
  const store = storeOn({ url: redis().url });
  expect(await store.compareAndSet("key", "1", "2")).toBe(false);
  expect(await store.compareAndSet("key", null, "1")).toBe(true);
  expect(await store.compareAndSet("key", null, "2")).toBe(false);
  expect(await store.compareAndSet("key", "1", "2", 60_000)).toBe(true);
  expect(await store.get("key")).toBe("2");
  const ofWorker = store.compareAndSet("task-sentinel/workers/x", null, "1");
  await expect(ofWorker).rejects.toMatchObject({ code: "ERR_ENGINE_REFUSED" });
});

test("the keys of workers show their records, and take them", async () => {
  const memory = storeOn({ url: redis().url });
  const registry = registryWith(memory);
  const worker = await registry.registerWorker(node("node-1", [], 4));
  const key = `task-sentinel/workers/${worker.id}`;
  const json = await memory.get(key);
  expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(worker)));
  expect(json).toContain('"capabilities":[]');
  expect(await memory.list("task-sentinel/workers/")).toEqual([key]);
  const [event] = await memory.search("task-sentinel/events/worker-registered/*");
  expect(JSON.parse(event!.value)).toEqual({
    type: "worker-registered",
    workerId: worker.id,
    nodeId: "node-1",
    capabilities: [],
    timestamp: expect.any(String),
  });

  const changed = { ...JSON.parse(json!), currentTasks: 3, capabilities: ["moved"], zone: "eu" };
  await memory.store(key, JSON.stringify(changed), 60_000);
  expect(JSON.parse((await memory.get(key))!)).toEqual(changed);
  expect((await registry.tryAcquire({ capabilities: ["moved"] }))!.currentTasks).toBe(4);
  await memory.delete(key);
  expect(await registry.discoverWorkers()).toEqual([]);
});

test("a corrupt record is told of once, hides no other, and can be removed", async () => {
  const memory = storeOn({ url: redis().url });
  const registry = registryWith(memory);
  const errors: Error[] = [];
  registry.on("error", (error) => errors.push(error));
  const good = await registry.registerWorker(node("good"));
  await memory.store("task-sentinel/workers/bad", "{ no JSON");
  for (let count = 0; count < 3; count += 1) {
    expect((await registry.discoverWorkers()).map(({ id }) => id)).toEqual([good.id]);
  }
  expect(errors).toEqual([
    expect.objectContaining({ code: "WORKER_RECORD_CORRUPT", key: "task-sentinel/workers/bad" }),
  ]);
  expect(await memory.get("task-sentinel/workers/bad")).toBe("{ no JSON");
  await expect(registry.heartbeat("bad")).rejects.toMatchObject({ code: "WORKER_NOT_FOUND" });
  await registry.unregisterWorker("bad");
  expect(await memory.get("task-sentinel/workers/bad")).toBeNull();
});

test.each(["a b", "a:b/c\n", "{x}", "*", "__proto__", "\u{1F600}", "x".repeat(10_000), "\0", "'\"]]--"])(
  "a hostile text %j stays what it is",
  async (text) => {
    const memory = storeOn({ url: redis().url });
    const registry = registryWith(memory);
    const worker = await registry.registerWorker(node(text, [text, `${text}2`], 2));
    expect(worker).toMatchObject({ nodeId: text, capabilities: [text, `${text}2`] });
    expect((await registry.tryAcquire({ capabilities: [text] }))!.id).toBe(worker.id);
    await expect(registry.heartbeat(text)).rejects.toMatchObject({ code: "WORKER_NOT_FOUND" });
    await registry.unregisterWorker(text);
    await memory.store(text, text);
    expect(await memory.search(text.replaceAll("*", ""))).toEqual(
      text === "*" ? [] : [{ key: text, value: text }],
    );
    const held = await registry.acquire({}, { owner: text });
    expect(await registry.release(held!.token)).toBe(true);
    expect(await registry.release(text)).toBe(false);
  },
);

test("half a character is replaced, as in the embedded store", async () => {
  const memory = storeOn({ url: redis().url });
  const registry = registryWith(memory);
  const worker = await registry.registerWorker(node("half \ud800", ["\udc00"]));
  expect(worker).toMatchObject({ nodeId: "half \ufffd", capabilities: ["\ufffd"] });
  expect((await registry.tryAcquire({ capabilities: ["\udc00"] }))!.id).toBe(worker.id);
  await memory.store("\\ud800", "\\ud800 is plain text");
  expect(await memory.get("\\ud800")).toBe("\\ud800 is plain text");
});

test("a watcher hears of workers of every process", async () => {
  const store = storeOn({ url: redis().url });
  const events: MemoryEvent[] = [];
  const unwatch = store.watch("task-sentinel/workers/", (event) => events.push(event));
  await store.get("connect");
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1"));
  await registry.unregisterWorker(worker.id);
  const key = `task-sentinel/workers/${worker.id}`;
  await eventually(() => events.length >= 2, "both changes were told");
  expect(events).toEqual([
    { type: "set", key },
    { type: "delete", key },
  ]);
  unwatch();
});

test.each([
  [{}, /exactly one of url, cluster and sentinel/],
  [{ url: "redis://x", cluster: ["redis://y"] }, /exactly one/],
  [{ url: "http://user:secret@x" }, /^url must be an address/],
  [{ cluster: [] }, /^cluster must be an array/],
  [{ sentinel: { urls: ["redis://x"], master: "" } }, /^sentinel\.master/],
  [{ url: "redis://x", prefix: "a:b" }, /^prefix/],
  [{ url: "redis://x", commandTimeoutMs: 1 }, /^commandTimeoutMs/],
  [{ url: "rediss://x", tls: { cert: "x" } }, /^tls\.cert and tls\.key/],
  [{ url: "redis://user:secret@host:99999" }, /no address/],
] as const)("wrong options %j are refused", (options, message) => {
  const create = (): unknown => storeOn(options as never);
  expect(create).toThrow(TypeError);
  expect(create).toThrow(message);
  expect(create).not.toThrow(/secret/);
});
