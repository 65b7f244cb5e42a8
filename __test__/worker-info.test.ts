import assert from "node:assert";
import { inspect, types } from "node:util";
import { type PoolWorker, type WorkerInfo, type WorkerServer, WorkerStatus, toWorkerInfo } from "../index.js";
import { recordEvents } from "./support/events";
import { infoOf } from "./support/infos";
import { recordMessages } from "./support/messages";
import { occupy, portOf, release } from "./support/ports";
import { createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const KEYS = [
  "id",
  "name",
  "status",
  "capabilities",
  "sessionId",
  "connectedAt",
  "lastHeartbeat",
  "activeRequests",
  "completedRequests",
  "pendingRequestIds",
  "categoryActiveRequests",
];

const CAPABILITIES = {
  zeta: [1, { two: null }],
  models: [{ modelId: "sonnet", extra: { a: [] } }, model("opus")],
  maxConcurrentRequests: 4,
  metadata: { region: "größer-😀", 2: "b", 1: "a" },
  concurrencyLimits: { video: 1 },
};

async function serverWithWorker(): Promise<{ server: WorkerServer; worker: TestWorker & { ack: any } }> {
  const { server, port } = await startServer();
  const worker = await TestWorker.register(port, { capabilities: CAPABILITIES });
  return { server, worker };
}

/** The same info from every place that hands one out, by the name of the place. */
async function infosFromEverywhere(): Promise<Record<string, WorkerInfo>> {
  const { server, port } = await startServer();
  const events = recordEvents(server);
  const messages = recordMessages(server, "hello");
  const worker = await TestWorker.register(port, { capabilities: CAPABILITIES });
  worker.send({ type: "hello" });
  await until(() => messages.length === 1, "the message is handled");
  const infos = {
    getWorkerInfo: server.getWorkerInfo()[0]!,
    getAvailableWorker: server.getAvailableWorker("sonnet")!,
    getAnyAvailableWorker: server.getAnyAvailableWorker()!,
    onWorkerConnected: events.connected[0]!,
    onWorkerMessage: messages[0]![0],
  };
  await worker.close();
  await until(() => events.disconnected.length === 1, "the worker is disconnected");
  return { ...infos, onWorkerDisconnected: events.disconnected[0]!.info };
}

describe("the info", () => {
  test("is the same plain object with the same keys in the same order, wherever it comes from", async () => {
    const infos = await infosFromEverywhere();

    const [first] = Object.values(infos);
    for (const info of Object.values(infos)) {
      expect(Object.keys(info)).toEqual(KEYS);
      expect(Object.getPrototypeOf(info)).toBe(Object.prototype);
      expect(info).toStrictEqual(first);
    }
  });

  test("says who registered", async () => {
    const before = Date.now();
    const { server, worker } = await serverWithWorker();

    const info = infoOf(server);

    expect(info).toStrictEqual({
      id: "worker-1",
      name: "Worker One",
      status: WorkerStatus.Available,
      capabilities: CAPABILITIES,
      sessionId: worker.ack.sessionId,
      connectedAt: info.connectedAt,
      lastHeartbeat: info.connectedAt,
      activeRequests: 0,
      completedRequests: 0,
      pendingRequestIds: new Set(),
      categoryActiveRequests: new Map(),
    });
    expect(info.connectedAt.getTime()).toBeGreaterThanOrEqual(before - 2);
    expect(info.connectedAt.getTime()).toBeLessThanOrEqual(Date.now() + 2);
  });

  test("is a new object at every call", async () => {
    const { server } = await serverWithWorker();

    const infos = [
      infoOf(server),
      infoOf(server),
      server.getAvailableWorker("sonnet"),
      server.getAvailableWorker("sonnet"),
      server.getAnyAvailableWorker(),
      server.getAnyAvailableWorker(),
    ];

    expect(new Set(infos).size).toBe(infos.length);
    expect(server.getWorkerInfo()).not.toBe(server.getWorkerInfo());
  });

  test("keeps its status and counts when the worker changes", async () => {
    const { server } = await serverWithWorker();
    const info = infoOf(server);

    for (let index = 0; index < 4; index++) server.trackRequest("worker-1", `r${index}`);
    server.releaseRequest("r0", { incrementCompleted: true });

    expect([info.status, info.activeRequests, info.completedRequests]).toEqual(["available", 0, 0]);
    expect(infoOf(server)).toMatchObject({ activeRequests: 3, completedRequests: 1 });
  });

  test("can be changed, with no effect on the worker where it is a copy", async () => {
    const { server } = await serverWithWorker();
    const info = infoOf(server) as unknown as Record<string, unknown>;

    Object.assign(info, { id: "x", name: "x", status: "unhealthy", activeRequests: 9, completedRequests: 9 });
    info["capabilities"] = { models: [], maxConcurrentRequests: 0 };
    delete info["sessionId"];

    expect(server.getAvailableWorker("sonnet")).toMatchObject({
      id: "worker-1",
      name: "Worker One",
      activeRequests: 0,
      completedRequests: 0,
    });
    expect(infoOf(server).capabilities).toStrictEqual(CAPABILITIES);
  });

  test("keeps unknown fields and the key order of what the worker registered", async () => {
    const { server } = await serverWithWorker();

    const { capabilities: kept } = infoOf(server);

    expect(JSON.stringify(kept)).toBe(JSON.stringify(CAPABILITIES));
  });

  test.each([
    ["a number as id", { workerId: 5 }, { id: 5 }],
    ["an object as name", { workerName: { a: 1 } }, { name: { a: 1 } }],
    ["an empty id and name", { workerId: "", workerName: "" }, { id: "", name: "" }],
    ["an id beyond ASCII", { workerId: "größer-😀" }, { id: "größer-😀" }],
  ])("keeps %s", async (_what, registered, expected) => {
    const { server, port } = await startServer();
    const worker = await TestWorker.connect(port);

    worker.send({
      type: "worker_registration",
      workerId: "worker-1",
      workerName: "Worker One",
      capabilities: capabilities(),
      ...registered,
    });
    await worker.next();

    expect(server.getWorkerInfo()).toMatchObject([expected]);
  });
});

describe("everything handed out belongs to this realm and is what it seems", () => {
  test("Date, Set, Map, Array and Object", async () => {
    const infos = await infosFromEverywhere();

    for (const info of Object.values(infos)) {
      expect(info.connectedAt).toBeInstanceOf(Date);
      expect(info.lastHeartbeat).toBeInstanceOf(Date);
      expect(info.pendingRequestIds).toBeInstanceOf(Set);
      expect(info.categoryActiveRequests).toBeInstanceOf(Map);
      expect(info).toBeInstanceOf(Object);
      expect(info.capabilities).toBeInstanceOf(Object);
      expect(info.capabilities.models).toBeInstanceOf(Array);
      expect(info.capabilities.models[0]).toBeInstanceOf(Object);
    }
  });

  test("the lists of infos and of pending requests", async () => {
    const { server, worker } = await serverWithWorker();
    const { disconnected } = recordEvents(server);
    server.trackRequest("worker-1", "r1");
    expect(server.getWorkerInfo()).toBeInstanceOf(Array);

    await worker.close();
    await until(() => disconnected.length === 1, "the worker is disconnected");

    expect(disconnected[0]!.pending).toBeInstanceOf(Set);
    expect(disconnected[0]!.pending).toStrictEqual(new Set(["r1"]));
  });

  test("messages", async () => {
    const { server, worker } = await serverWithWorker();
    const messages = recordMessages(server, "hello");
    const sent = { type: "hello", list: [{ a: 1 }], nothing: null };

    worker.send(sent);
    await until(() => messages.length === 1, "the message is handled");

    const [, message] = messages[0]!;
    expect(message).toBeInstanceOf(Object);
    expect(message.list).toBeInstanceOf(Array);
    expect(message).toStrictEqual(sent);
  });

  test("the contexts given to a logger", async () => {
    const { port, logger } = await startServer();
    await TestWorker.register(port);

    const [line] = logger.of("Worker registered");
    expect(line!.rest).toStrictEqual([
      { workerId: "worker-1", workerName: "Worker One", models: ["sonnet-3.5"], maxConcurrentRequests: 4 },
    ]);
    expect(line!.rest[0]).toBeInstanceOf(Object);
  });

  test("promises", async () => {
    const { server } = createServer();
    const started = server.start();
    expect(started).toBeInstanceOf(Promise);
    await started;
    expect(server.stop()).toBeInstanceOf(Promise);
  });

  test("the error of a second start()", async () => {
    const { server } = await startServer();

    const error = await server.start().catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(Error);
    expect(error).toStrictEqual(new Error("WorkerServer is already running"));
  });

  test("the error of a port in use", async () => {
    const occupied = await occupy();
    const { server } = createServer({ port: portOf(occupied) });

    const error = await server.start().catch((reason: unknown) => reason);
    await release(occupied);

    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
  });

  test("the error of a bad port", async () => {
    const { server } = createServer({ port: 65_536 });

    const error = await server.start().catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ code: "ERR_SOCKET_BAD_PORT" });
  });

  test("no proxies", async () => {
    const infos = await infosFromEverywhere();

    for (const info of Object.values(infos)) {
      const parts = [info, ...Object.values(info), ...info.capabilities.models];
      expect(parts.map((part) => types.isProxy(part))).toEqual(parts.map(() => false));
    }
  });

  test("infos equal plain objects to every way of looking", async () => {
    const { server } = await serverWithWorker();
    server.trackRequest("worker-1", "r1", "video");
    const info = infoOf(server);
    const plain = {
      ...info,
      capabilities: JSON.parse(JSON.stringify(CAPABILITIES)),
      connectedAt: new Date(info.connectedAt),
      lastHeartbeat: new Date(info.lastHeartbeat),
      pendingRequestIds: new Set(["r1"]),
      categoryActiveRequests: new Map([["video", 1]]),
    };

    expect(info).toStrictEqual(plain);
    assert.deepStrictEqual(info, plain);
    expect(inspect(info, { depth: 9 })).toBe(inspect(plain, { depth: 9 }));
    expect(JSON.stringify(info)).toBe(JSON.stringify(plain));
    expect(inspect(structuredClone(info), { depth: 9 })).toBe(inspect(structuredClone(plain), { depth: 9 }));
  });
});

describe("toWorkerInfo", () => {
  const worker: PoolWorker = {
    categoryActiveRequests: new Map([["video", 1]]),
    requestCategories: new Map([["r1", "video"]]),
    completedRequests: 2,
    pendingRequests: new Set(["r1"]),
    activeRequests: 1,
    lastHeartbeat: new Date(2),
    connectedAt: new Date(1),
    sessionId: "session",
    status: WorkerStatus.Draining,
    capabilities: CAPABILITIES as never,
    websocket: { readyState: 1, send() {}, close() {} },
    name: "Name",
    id: "id",
  };

  test("keeps the public fields of a worker, in the order of an info, and no other", () => {
    const info = toWorkerInfo(worker);

    expect(Object.keys(info)).toEqual(KEYS);
    expect(Object.getPrototypeOf(info)).toBe(Object.prototype);
    const { websocket: _, requestCategories: __, pendingRequests, ...fields } = worker;
    expect(info).toStrictEqual({ ...fields, pendingRequestIds: pendingRequests });
  });

  test("makes a new object over the very parts of the worker", () => {
    const info = toWorkerInfo(worker);

    expect(info).not.toBe(toWorkerInfo(worker));
    for (const key of ["capabilities", "connectedAt", "lastHeartbeat", "categoryActiveRequests"] as const) {
      expect(info[key]).toBe(worker[key]);
    }
    expect(info.pendingRequestIds).toBe(worker.pendingRequests);
  });
});
