import * as root from "../index.js";
import * as api from "../v2.js";
import { WorkerServer, WorkerStatus, type WorkerInfo, type WorkerMessageEvent } from "../v2.js";
import { registerAs, work } from "./support/pool-of";
import { Program } from "./support/program";
import { startV2Server, stopV2Servers } from "./support/v2-server";
import { TestWorker, capabilities } from "./support/test-worker";

afterEach(async () => {
  await stopV2Servers();
  await Program.endAll();
});

const METHODS = [
  "addHttpHandler",
  "addWebSocketEndpoint",
  "availableSlots",
  "broadcast",
  "dispatch",
  "listWorkers",
  "onWorkerConnected",
  "onWorkerDisconnected",
  "onWorkerMessage",
  "setAuthTokens",
  "start",
  "stats",
  "stop",
];

const REMOVED = [
  "getAnyAvailableWorker",
  "getAvailableSlotCount",
  "getAvailableWorker",
  "getAvailableWorkerCount",
  "getWorkerCount",
  "getWorkerInfo",
  "onWorkerEvent",
  "releaseRequest",
  "send",
  "trackRequest",
];

/** The next message of that type, as its handler gets it. */
function nextMessage(server: WorkerServer, type: string): Promise<WorkerMessageEvent> {
  return new Promise((resolve) => {
    const unsubscribe = server.onWorkerMessage(type, (event) => {
      unsubscribe();
      resolve(event);
    });
  });
}

describe("the entry", () => {
  test("exports the server and its statuses", () => {
    expect(Object.keys(require("../v2.js")).sort()).toEqual(["WorkerServer", "WorkerStatus"]);
    expect(api).toHaveProperty("__esModule", true);
    expect(WorkerStatus).toStrictEqual({ Available: "available", Busy: "busy", Unhealthy: "unhealthy" });
  });

  test("has a class of its own over the same run time", () => {
    expect(WorkerServer.name).toBe("WorkerServer");
    expect(WorkerServer).not.toBe(root.WorkerServer);
    expect(() => (WorkerServer as unknown as () => unknown)()).toThrow(TypeError);
    expect(() => new WorkerServer(undefined as never)).toThrow(TypeError);
  });

  test("can be required and imported by its sub-path", async () => {
    const script = Program.startScript(`
      const { WorkerServer, WorkerStatus } = require("worker-server-native/v2");
      console.log(typeof WorkerServer, typeof WorkerStatus);
    `);
    const module = Program.startModule(`
      import { createRequire } from "node:module";
      import { WorkerServer, WorkerStatus } from "worker-server-native/v2";
      const required = createRequire(import.meta.url)("worker-server-native/v2");
      console.log(WorkerServer === required.WorkerServer, WorkerStatus === required.WorkerStatus);
    `);

    expect((await script.ended).stderr + (await module.ended).stderr).toBe("");
    expect([...script.lines, ...module.lines]).toEqual(["function object", "true true"]);
  });
});

describe("the server", () => {
  test("has these methods and no others", () => {
    const members = Object.getOwnPropertyNames(WorkerServer.prototype);

    expect(members.filter((name) => name !== "constructor" && name !== "port").sort()).toEqual(METHODS);
    expect(Object.keys(new WorkerServer({ port: 0 }))).toEqual([]);
  });

  test.each(REMOVED)("has no %s", (name) => {
    expect(name in new WorkerServer({ port: 0 })).toBe(false);
  });

  test("tells its port, which cannot be set", async () => {
    const server = new WorkerServer({ port: 0 });
    expect(server.port).toBe(0);
    await server.start();
    const { port } = server;
    await server.stop();

    expect(port).toBeGreaterThan(0);
    expect(server.port).toBe(port);
    expect(() => Object.assign(server, { port: 1 })).toThrow(TypeError);
  });

  test("starts once, stops, and starts again", async () => {
    const { server, logger } = await startV2Server();
    await expect(server.start()).rejects.toThrow("WorkerServer is already running");
    await server.stop({ timeoutMs: 100 });

    await server.start();

    expect(logger.of("HTTP + WebSocket server started")).toHaveLength(2);
    expect(logger.of("HTTP + WebSocket server stopped")).toHaveLength(1);
  });

  test("broadcasts to all workers", async () => {
    const { server, port } = await startV2Server();
    const workers = [await registerAs(port, { id: "a" }), await registerAs(port, { id: "b" })];

    expect(server.broadcast({ type: "pause" })).toBeUndefined();

    for (const worker of workers) expect(await worker.next()).toEqual({ type: "pause" });
    expect(() => server.broadcast(1n)).toThrow(TypeError);
  });

  test("tells what it has counted, and changes its tokens", async () => {
    const { server, port } = await startV2Server({ authToken: "old" });
    server.setAuthTokens(["new"]);
    const refused = await TestWorker.connect(port);
    refused.send({
      type: "worker_registration",
      workerId: "w",
      workerName: "W",
      capabilities: capabilities(),
      authToken: "old",
    });
    await refused.closed;
    await TestWorker.register(port, { authToken: "new" });

    expect(server.stats()).toMatchObject({ connections: 1, tokensRefused: 1 });
    expect(Object.keys(server.stats())).toEqual(Object.keys(new root.WorkerServer({ port: 0 }).stats()));
  });

  test("answers HTTP requests and serves endpoints", async () => {
    const { server, port } = await startV2Server();
    server.addHttpHandler(async (request, response) => {
      response.end(`you asked for ${request.url}`);
      return true;
    });
    server.addWebSocketEndpoint("/ui", (socket) => socket.send("hello"));

    const answer = await fetch(`http://127.0.0.1:${port}/page`);
    const browser = await TestWorker.connect(port, "/ui");

    expect(await answer.text()).toBe("you asked for /page");
    expect(await browser.nextText()).toBe("hello");
    expect(server.listWorkers()).toEqual([]);
  });

  test("sends a request to a worker and ends it when the worker is done", async () => {
    const { server, port } = await startV2Server();
    const worker = await registerAs(port, { id: "a", max: 1, limits: { video: 1 } });
    const done = nextMessage(server, "done");

    const handle = server.dispatch({ model: "sonnet", category: "video", message: work("r1") })!;
    expect(handle.worker.status).toBe(WorkerStatus.Busy);
    expect(server.availableSlots("sonnet")).toBe(0);
    expect(server.dispatch({ message: work("r2") })).toBeNull();
    expect(await worker.next()).toEqual(work("r1"));
    worker.send({ type: "done", requestId: "r1", output: "text" });
    (await done).complete();
    handle.complete();

    expect(server.availableSlots("sonnet", "video")).toBe(1);
    expect(server.listWorkers()).toMatchObject([
      { id: "a", status: "available", requests: { active: 0, completed: 1, activeByCategory: {} } },
    ]);
  });
});

describe("message handlers", () => {
  test("get exactly one argument, a frozen event, the same for all of them", async () => {
    const { server, port } = await startV2Server();
    const worker = await registerAs(port, { id: "a" });
    const calls: unknown[][] = [];
    const receivers: unknown[] = [];
    server.onWorkerMessage("done", function (this: unknown, ...args: unknown[]) {
      receivers.push(this);
      calls.push(args);
    });
    server.onWorkerMessage("done", (...args: unknown[]) => calls.push(args));
    const last = nextMessage(server, "last");
    worker.send({ type: "done", requestId: "r1" });
    worker.send({ type: "last" });
    await last;

    expect(calls.map((args) => args.length)).toEqual([1, 1]);
    expect(calls[0]![0]).toBe(calls[1]![0]);
    expect(receivers).toEqual([undefined]);
    const event = calls[0]![0] as WorkerMessageEvent;
    expect(Object.isFrozen(event)).toBe(true);
    expect(Object.getOwnPropertyNames(event)).toEqual(["worker", "message", "requestId", "complete", "fail"]);
    expect(event.worker).toStrictEqual(server.listWorkers()[0]);
    expect(event).toMatchObject({ message: { type: "done", requestId: "r1" }, requestId: "r1" });
  });

  test("are a set: the same one is called once, and gone with one unsubscribe", async () => {
    const { server, port, logger } = await startV2Server();
    const worker = await registerAs(port, { id: "a" });
    const handler = jest.fn();
    const unsubscribe = server.onWorkerMessage("done", handler);
    server.onWorkerMessage("done", handler);
    let last = nextMessage(server, "last");
    worker.send({ type: "done" });
    worker.send({ type: "last" });
    await last;
    expect(handler).toHaveBeenCalledTimes(1);

    unsubscribe();
    unsubscribe();
    last = nextMessage(server, "last");
    worker.send({ type: "done" });
    worker.send({ type: "last" });
    await last;

    expect(handler).toHaveBeenCalledTimes(1);
    expect(logger.of("Unhandled message type from worker").map((line) => line.rest)).toEqual([
      [{ type: "done" }],
    ]);
  });
});

describe("connected and disconnected handlers", () => {
  test("get exactly one argument, a frozen snapshot, the same for all of them", async () => {
    const { server, port } = await startV2Server();
    const connected: unknown[][] = [];
    const disconnected: unknown[][] = [];
    server.onWorkerConnected((...args) => connected.push(args));
    server.onWorkerConnected((...args) => connected.push(args));
    server.onWorkerDisconnected((...args) => disconnected.push(args));
    const gone = new Promise<WorkerInfo>((resolve) => server.onWorkerDisconnected(resolve));
    const worker = await TestWorker.register(port, { capabilities: capabilities({ metadata: { a: 1 } }) });
    expect(connected.map((args) => args.length)).toEqual([1, 1]);
    expect(connected[0]![0]).toBe(connected[1]![0]);
    expect(connected[0]![0]).toStrictEqual(server.listWorkers()[0]);

    server.dispatch({ category: "video", message: work("r1") });
    await worker.close();
    const last = await gone;

    expect(disconnected).toEqual([[last]]);
    expect(disconnected[0]![0]).toBe(last);
    for (const snapshot of [connected[0]![0] as WorkerInfo, last]) {
      expect(Object.isFrozen(snapshot) && Object.isFrozen(snapshot.requests)).toBe(true);
      expect(snapshot).not.toHaveProperty("pendingRequestIds");
    }
    expect(last.requests).toStrictEqual({
      active: 1,
      completed: 0,
      pendingIds: ["r1"],
      activeByCategory: { video: 1 },
    });
  });

  test("are sets, each of its own", async () => {
    const { server, port } = await startV2Server();
    const handler = jest.fn();
    const unsubscribe = server.onWorkerConnected(handler);
    server.onWorkerConnected(handler);
    server.onWorkerDisconnected(handler);
    const worker = await TestWorker.register(port);
    expect(handler).toHaveBeenCalledTimes(1);

    unsubscribe();
    const gone = new Promise((resolve) => server.onWorkerDisconnected(resolve));
    await TestWorker.register(port, { workerId: "worker-2" });
    await worker.close();
    await gone;

    expect(handler.mock.calls.map(([snapshot]) => snapshot.id)).toEqual(["worker-1", "worker-1"]);
  });

  test("hear of a replaced worker with requests in flight", async () => {
    const { server, port } = await startV2Server();
    const gone: WorkerInfo[] = [];
    server.onWorkerDisconnected((worker) => gone.push(worker));
    await registerAs(port, { id: "a" });
    server.dispatch({ message: work("r1") });

    await registerAs(port, { id: "a" });

    expect(gone.map(({ requests }) => requests.pendingIds)).toEqual([["r1"]]);
    expect(server.listWorkers()[0]!.requests.pendingIds).toEqual([]);
  });
});
