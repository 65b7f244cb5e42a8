import { WorkerStatus } from "../index.js";
import { infoOf } from "./support/infos";
import { poolOf, work } from "./support/pool-of";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";

afterEach(stopServers);

test("listWorkers shows all workers in order of registration", async () => {
  const { server } = await poolOf({ id: "b" }, { id: "a", models: [] });

  expect(server.listWorkers().map(({ id }) => id)).toEqual(["b", "a"]);
});

test("a snapshot has exactly these fields", async () => {
  const { server, port } = await startServer();
  const worker = await TestWorker.register(port, {
    capabilities: {
      extra: 1,
      concurrencyLimits: { video: 2 },
      metadata: { gpu: "A100" },
      models: [{ ...model("sonnet"), note: "kept" }],
      maxConcurrentRequests: 4,
    },
  });
  const [snapshot] = server.listWorkers();

  expect(JSON.stringify(snapshot!.capabilities)).toBe(
    JSON.stringify({
      maxConcurrentRequests: 4,
      models: [{ ...model("sonnet"), note: "kept" }],
      metadata: { gpu: "A100" },
      concurrencyLimits: { video: 2 },
    }),
  );
  expect(snapshot).toStrictEqual({
    id: "worker-1",
    name: "Worker One",
    status: WorkerStatus.Available,
    capabilities: expect.anything(),
    sessionId: worker.ack.sessionId,
    connectedAt: infoOf(server).connectedAt,
    lastHeartbeat: infoOf(server).lastHeartbeat,
    requests: { active: 0, completed: 0, pendingIds: [], activeByCategory: {} },
  });
  expect(Object.keys(snapshot!).join()).toBe(
    "id,name,status,capabilities,sessionId,connectedAt,lastHeartbeat,requests",
  );
});

test("what a worker did not register is left out", async () => {
  const { server } = await poolOf({ id: "a" });

  const [snapshot] = server.listWorkers();

  expect(Object.keys(snapshot!.capabilities)).toEqual(["maxConcurrentRequests", "models"]);
});

test("a snapshot is frozen throughout, but for dates and what metadata holds", async () => {
  const { server, port } = await startServer();
  await TestWorker.register(port, {
    capabilities: capabilities({ metadata: { nested: {} }, concurrencyLimits: { video: 1 } }),
  });
  const snapshot = server.listWorkers()[0]!;
  const { capabilities: told, requests } = snapshot;

  const parts = [snapshot, told, told.models, told.models[0], told.metadata, told.concurrencyLimits];
  for (const part of [...parts, requests, requests.pendingIds, requests.activeByCategory]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
  expect(Object.isFrozen(told.metadata!["nested"])).toBe(false);
  expect(Object.isFrozen(snapshot.connectedAt)).toBe(false);
});

test("a snapshot shares nothing with the server, and does not change", async () => {
  const { server } = await poolOf({ id: "a", limits: { video: 3 } });
  const before = server.listWorkers()[0]!;
  before.connectedAt.setTime(0);
  before.lastHeartbeat.setTime(0);

  server.dispatch({ category: "video", message: work("r1") });
  infoOf(server, "a").capabilities.models[0]!.displayName = "edited";
  infoOf(server, "a").capabilities.concurrencyLimits!["video"] = 9;

  const after = server.listWorkers()[0]!;
  expect(before.requests).toEqual({ active: 0, completed: 0, pendingIds: [], activeByCategory: {} });
  expect(before.capabilities.models[0]!.displayName).toBe("SONNET");
  expect(before.capabilities.concurrencyLimits).toEqual({ video: 3 });
  expect(after.requests).toEqual({
    active: 1,
    completed: 0,
    pendingIds: ["r1"],
    activeByCategory: { video: 1 },
  });
  expect(after.capabilities.models[0]!.displayName).toBe("edited");
  expect(after.connectedAt.getTime()).toBeGreaterThan(0);
  expect(after.connectedAt).not.toBe(after.lastHeartbeat);
});

test("categories without a request are left out, where infos keep them at 0", async () => {
  const { server } = await poolOf({ id: "a" });
  server.dispatch({ category: "video", message: work("r1") })!.complete();
  server.dispatch({ category: "audio", message: work("r2") });

  expect(server.listWorkers()[0]!.requests.activeByCategory).toEqual({ audio: 1 });
  expect(infoOf(server, "a").categoryActiveRequests.get("video")).toBe(0);
});
