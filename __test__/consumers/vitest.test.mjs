/* A user's own tests, run by their own vitest, in a worker thread. */
import { isMainThread } from "node:worker_threads";
import { WorkerServer, WorkerStatus } from "@hardlydifficult/worker-server";
import { afterEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

let server;
let socket;

afterEach(async () => {
  vi.useRealTimers();
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

test("a worker registers with a server in a worker thread", async () => {
  expect(isMainThread).toBe(false);
  await serverWithWorker();
  const [info] = server.getWorkerInfo();
  expect(info.status).toBe(WorkerStatus.Available);
  expect(info.connectedAt).toBeInstanceOf(Date);
  expect(info.capabilities).toStrictEqual({ models: [{ modelId: "sonnet" }], maxConcurrentRequests: 1 });
});

test("fake timers drive the health sweep", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
  await serverWithWorker();
  vi.advanceTimersByTime(50_000);
  expect(server.getWorkerInfo()[0].status).toBe(WorkerStatus.Available);
  vi.advanceTimersByTime(20_000);
  expect(server.getWorkerInfo()[0].status).toBe(WorkerStatus.Unhealthy);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  vi.advanceTimersByTime(120_000);
  expect(await closed).toBe(4003);
});

test("methods can be spied on", async () => {
  await serverWithWorker();
  const send = vi.spyOn(WorkerServer.prototype, "send").mockReturnValue(false);
  expect(server.send("w", {})).toBe(false);
  send.mockRestore();
  expect(server.send("w", {})).toBe(true);
});
