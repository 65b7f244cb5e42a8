import { ClaudeFlowMemory, registerServer, WorkerRegistry } from "../../registry.js";
import { startServer, stopServers } from "../support/test-server";
import { capabilities, model, TestWorker } from "../support/test-worker";
import { eventually } from "./harness";

afterEach(() => stopServers());

test("workers of a server are in the registry for as long as they are connected", async () => {
  const { server, port } = await startServer();
  const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  await TestWorker.register(port, { workerId: "early" });
  const registration = registerServer(server, registry, { syncIntervalMs: 20 });
  const worker = await TestWorker.register(port, {
    workerId: "gpu-1",
    capabilities: capabilities({
      models: [model("sonnet"), model("haiku")],
      maxConcurrentRequests: 3,
      metadata: { gpu: "h100", memory: 80, tags: ["eu", "eu"], nested: { a: 1 } },
    }),
  });
  const nodes = async (): Promise<string[]> => (await registry.discoverWorkers()).map(({ nodeId }) => nodeId);
  await eventually(async () => (await nodes()).join() === "early,gpu-1", "both are registered");
  const [found] = await registry.discoverWorkers({ capabilities: ["sonnet", "gpu:h100"] });
  expect(found).toMatchObject({
    nodeId: "gpu-1",
    capabilities: ["sonnet", "haiku", "gpu:h100", "memory:80", "tags:eu"],
    maxConcurrentTasks: 3,
  });
  const info = server.getWorkerInfo().find(({ id }) => id === "gpu-1")!;
  expect(registration.registeredId(info)).toBe(found!.id);

  server.trackRequest("gpu-1", "request-1");
  server.trackRequest("gpu-1", "request-2");
  await eventually(
    async () => (await registry.getWorker(found!.id))!.currentTasks === 2,
    "requests are counted",
  );
  server.releaseRequest("request-1", { incrementCompleted: true });
  await registration.sync();
  expect(await registry.getWorker(found!.id)).toMatchObject({
    currentTasks: 1,
    metrics: { tasksCompleted: 1 },
  });
  worker.send({ type: "heartbeat", workerId: "gpu-1", timestamp: "2026-01-01T00:00:00.000Z" });
  await eventually(
    async () => (await registry.getWorker(found!.id))!.lastHeartbeat > found!.lastHeartbeat,
    "the heartbeat follows",
  );

  worker.socket.close();
  await eventually(async () => (await nodes()).join() === "early", "the worker is gone");
  await registration.stop();
  expect(await nodes()).toEqual([]);
  expect(server.getWorkerCount()).toBe(1);
});

test("workers that the registry has lost are registered again", async () => {
  const { server, port } = await startServer();
  const memory = new ClaudeFlowMemory();
  const registry = new WorkerRegistry({ memory });
  const registration = registerServer(server, registry, { syncIntervalMs: 20 });
  await TestWorker.register(port, { workerId: "gpu-1" });
  await eventually(async () => (await registry.discoverWorkers()).length === 1, "it is registered");
  server.trackRequest("gpu-1", "request-1");
  await registration.sync();
  memory.clear();
  server.trackRequest("gpu-1", "request-2");
  await eventually(
    async () => (await registry.discoverWorkers())[0]?.currentTasks === 2,
    "it is there again",
  );
  await registration.stop();
});

test("an error of the store is told of", async () => {
  const { server, port } = await startServer();
  const registry = new WorkerRegistry();
  const registration = registerServer(server, registry);
  const errors: Error[] = [];
  registration.on("error", (error) => errors.push(error));
  await registry.close();
  await TestWorker.register(port);
  await eventually(() => errors.length > 0, "an error");
  expect(errors[0]).toMatchObject({ code: "REGISTRY_CLOSED" });
  await registration.stop();
  expect(() => registerServer(server, registry, { syncIntervalMs: 0 })).toThrow(TypeError);
});
