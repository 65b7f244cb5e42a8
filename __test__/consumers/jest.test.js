"use strict";

/* A user's own tests, run by their own jest. */
const { WorkerServer, WorkerStatus } = require("@hardlydifficult/worker-server");
const { WebSocket } = require("ws");

let server;
let socket;

afterEach(async () => {
  jest.useRealTimers();
  socket.terminate();
  await server.stop();
});

async function serverWithWorker() {
  server = new WorkerServer({ port: 0, heartbeatTimeoutMs: 60_000, healthCheckIntervalMs: 10_000 });
  await server.start();
  socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
  await new Promise((resolve) => socket.once("open", resolve));
  const capabilities = { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 1 };
  socket.send(JSON.stringify({ type: "worker_registration", workerId: "w", workerName: "W", capabilities }));
  await new Promise((resolve) => socket.once("message", resolve));
}

test("a worker registers, and what is told of it belongs to this realm", async () => {
  await serverWithWorker();
  const [info] = server.getWorkerInfo();
  expect(info).toStrictEqual({
    id: "w",
    name: "W",
    status: WorkerStatus.Available,
    capabilities: { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 1 },
    sessionId: expect.any(String),
    connectedAt: expect.any(Date),
    lastHeartbeat: expect.any(Date),
    activeRequests: 0,
    completedRequests: 0,
    pendingRequestIds: expect.any(Set),
    categoryActiveRequests: expect.any(Map),
  });
});

test("a handler gets a message of this realm", async () => {
  await serverWithWorker();
  const message = new Promise((resolve) => {
    server.onWorkerMessage("done", (_worker, received) => resolve(received));
  });
  socket.send('{"type":"done","list":[{}]}');
  expect(await message).toStrictEqual({ type: "done", list: [{}] });
});

test("fake timers drive the health sweep", async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
  await serverWithWorker();
  jest.advanceTimersByTime(50_000);
  expect(server.getWorkerInfo()[0].status).toBe(WorkerStatus.Available);
  jest.advanceTimersByTime(20_000);
  expect(server.getWorkerInfo()[0].status).toBe(WorkerStatus.Unhealthy);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  jest.advanceTimersByTime(120_000);
  expect(await closed).toBe(4003);
});

test("methods can be spied on", async () => {
  await serverWithWorker();
  const send = jest.spyOn(WorkerServer.prototype, "send").mockReturnValue(false);
  expect(server.send("w", {})).toBe(false);
  send.mockRestore();
  expect(server.send("w", {})).toBe(true);
});
