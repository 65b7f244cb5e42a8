import { ClaudeFlowMemory, type MemoryStore, WorkerRegistry } from "../../registry.js";
import { ComparingStore, MapStore } from "./backends";
import { node } from "./harness";

const KEY = "task-sentinel/workers/";

function observed(memory: MemoryStore): { registry: WorkerRegistry; errors: any[] } {
  const registry = new WorkerRegistry({ memory });
  const errors: any[] = [];
  registry.on("error", (error) => errors.push(error));
  return { registry, errors };
}

test.each([
  ["the embedded store", () => new ClaudeFlowMemory()],
  ["a store with five methods", () => new MapStore()],
] as Array<[string, () => MemoryStore]>)(
  "on %s a corrupt record is told of once, hides no other and can be removed",
  async (_name, create) => {
    const memory = create();
    const { registry, errors } = observed(memory);
    const good = await registry.registerWorker(node("good"));
    const json = (await memory.get(KEY + good.id))!;
    const bad: Record<string, string> = {
      text: "no JSON",
      empty: "",
      list: "[]",
      other: json,
      type: json.replace('"currentTasks":0', '"currentTasks":"0"').replaceAll(good.id, "type"),
      date: json.replace(/"lastHeartbeat":"[^"]*"/, '"lastHeartbeat":"soon"').replaceAll(good.id, "date"),
    };
    for (const [id, value] of Object.entries(bad)) await memory.store(KEY + id, value);
    for (let count = 0; count < 3; count += 1) {
      expect((await registry.discoverWorkers()).map(({ id }) => id)).toEqual([good.id]);
      expect(await registry.getWorkersForLoadBalancing()).toHaveLength(1);
      expect(await registry.cleanup()).toEqual([]);
    }
    expect(errors.map(({ code, key }) => [code, key]).sort()).toEqual(
      Object.keys(bad)
        .map((id) => ["WORKER_RECORD_CORRUPT", KEY + id])
        .sort(),
    );
    for (const id of Object.keys(bad)) {
      expect(await registry.getWorker(id)).toBeNull();
      await expect(registry.heartbeat(id)).rejects.toMatchObject({ code: "WORKER_NOT_FOUND" });
      await registry.unregisterWorker(id);
      expect(await memory.get(KEY + id)).toBeNull();
    }
    expect(errors).toHaveLength(Object.keys(bad).length);
  },
);

test("without a listener an error is a warning", async () => {
  const emitWarning = jest.spyOn(process, "emitWarning").mockImplementation();
  const memory = new ClaudeFlowMemory();
  await memory.store(`${KEY}bad`, "no JSON");
  expect(await new WorkerRegistry({ memory }).discoverWorkers()).toEqual([]);
  expect(emitWarning.mock.calls).toEqual([[expect.stringContaining(`${KEY}bad`)]]);
  emitWarning.mockRestore();
});

test("fields that the registry does not know are kept", async () => {
  for (const memory of [new ClaudeFlowMemory(), new MapStore()]) {
    const registry = new WorkerRegistry({ memory });
    const { id } = await registry.registerWorker(node("node-1"));
    const record = { ...JSON.parse((await memory.get(KEY + id))!), zone: "eu", rack: { row: [1, 2.5] } };
    const json = JSON.stringify(record, null, 2);
    await memory.store(KEY + id, json);
    expect(await memory.get(KEY + id)).toBe(json);
    await registry.updateTaskCount(id, 1);
    expect(JSON.parse((await memory.get(KEY + id))!)).toEqual({ ...record, currentTasks: 1 });
  }
});

test.each(["store", "get", "delete", "list"] as const)(
  "an error of %s comes to the caller as it is",
  async (method) => {
    for (const fail of [
      () => {
        throw new Error("thrown");
      },
      () => Promise.reject(new Error("rejected")),
    ]) {
      const memory = new MapStore();
      const registry = new WorkerRegistry({ memory });
      const { id } = await registry.registerWorker(node("node-1"));
      memory[method] = fail as never;
      const calls = {
        store: () => registry.updateTaskCount(id, 1),
        get: () => registry.heartbeat(id),
        delete: () => registry.unregisterWorker(id),
        list: () => registry.discoverWorkers(),
      };
      await expect(calls[method]()).rejects.toThrow(/^(?:thrown|rejected)$/);
      // The next change of the same worker does not wait for ever.
      delete (memory as Partial<MapStore>)[method];
      await registry.heartbeat(id);
    }
  },
);

test.each([5, {}, Buffer.from("x"), [], true])(
  "an answer of another type, %p, is told of",
  async (answer) => {
    const memory = new MapStore();
    const registry = new WorkerRegistry({ memory });
    const { id } = await registry.registerWorker(node("node-1"));
    memory.get = async () => answer as never;
    await expect(registry.getWorker(id)).rejects.toMatchObject({ code: "STORE_INVALID_ANSWER" });
    await expect(registry.heartbeat(id)).rejects.toMatchObject({ code: "STORE_INVALID_ANSWER" });
    if (Array.isArray(answer)) return;
    memory.list = async () => answer as never;
    await expect(registry.discoverWorkers()).rejects.toMatchObject({ code: "STORE_INVALID_ANSWER" });
  },
);

test("keys that are none are passed over", async () => {
  const memory = new MapStore();
  const registry = new WorkerRegistry({ memory });
  const { id } = await registry.registerWorker(node("node-1"));
  memory.list = async () => [5, null, KEY + id, "other", `${KEY}gone`] as never;
  expect((await registry.discoverWorkers()).map((worker) => worker.id)).toEqual([id]);
  memory.get = async () => undefined as never;
  expect(await registry.getWorker(id)).toBeNull();
});

test("an event that cannot be stored does not fail the registration", async () => {
  const memory = new MapStore();
  const { registry, errors } = observed(memory);
  const store = memory.store.bind(memory);
  memory.store = async (key, ...rest) => {
    if (key.includes("/events/")) throw new Error("full");
    await store(key, ...rest);
  };
  const { id } = await registry.registerWorker(node("node-1"));
  expect(await registry.getWorker(id)).not.toBeNull();
  expect(errors.map(({ message }) => message)).toEqual(["full"]);
});

test("registries of two processes share a store that compares", async () => {
  const memory = new ComparingStore();
  const registries = [new WorkerRegistry({ memory }), new WorkerRegistry({ memory })] as const;
  const { id } = await registries[0].registerWorker(node("node-1", [], 50));
  const changes = Array.from({ length: 100 }, (_, index) => registries[index % 2]!.updateTaskCount(id, 1));
  await Promise.all(changes);
  expect((await registries[0].getWorker(id))!.currentTasks).toBe(100);
  await registries[1].updateTaskCount(id, -100);
  const asked = Array.from({ length: 80 }, (_, index) => registries[index % 2]!.tryAcquire());
  const found = await Promise.all(asked);
  expect(found.filter((worker) => worker !== null)).toHaveLength(50);
});

test("two registries on one embedded store hear of each other's workers", async () => {
  const memory = new ClaudeFlowMemory();
  const [here, there] = [new WorkerRegistry({ memory }), new WorkerRegistry({ memory })];
  const heard: string[] = [];
  there.on("workerRegistered", ({ nodeId }) => heard.push(nodeId));
  there.on("workerUnregistered", ({ reason }) => heard.push(reason));
  const { id } = await here.registerWorker(node("node-1"));
  await here.unregisterWorker(id);
  expect(heard).toEqual(["node-1", "explicit"]);
});
