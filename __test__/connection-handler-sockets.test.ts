import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { ConnectionHandlerConfig } from "../index.js";
import { scene, type Scene } from "./support/handler-scene";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

/* The connection handler over real sockets of the `ws` package. */

const servers: WebSocketServer[] = [];

afterEach(async () => {
  TestWorker.dropAll();
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, "close");
  }
});

async function listening(config: ConnectionHandlerConfig = {}): Promise<Scene & { port: number }> {
  const stage = scene(config);
  const server = new WebSocketServer({ port: 0 });
  servers.push(server);
  server.on("connection", (socket) => stage.handler.handleConnection(socket));
  await once(server, "listening");
  return { ...stage, port: (server.address() as AddressInfo).port };
}

test("a worker registers, beats, reports, gets work and leaves", async () => {
  const { pool, handler, port, connected, disconnected } = await listening({ heartbeatIntervalMs: 250 });
  const results: unknown[] = [];
  handler.onMessage("work_complete", (worker, message) => {
    results.push([worker.id, worker.activeRequests, message]);
    pool.releaseRequest(message.requestId, { incrementCompleted: true });
  });

  const worker = await TestWorker.register(port);
  expect(worker.ack).toEqual({
    type: "worker_registration_ack",
    success: true,
    sessionId: pool.get("worker-1")!.sessionId,
    heartbeatIntervalMs: 250,
  });
  expect(connected.map(({ id }) => id)).toEqual(["worker-1"]);
  await worker.roundTrip();

  const found = pool.getAvailableWorker("sonnet")!;
  pool.trackRequest(found.id, "r1");
  expect(pool.send(found.id, { type: "work_request", requestId: "r1" })).toBe(true);
  expect(await worker.next()).toEqual({ type: "work_request", requestId: "r1" });
  worker.send({ type: "work_complete", requestId: "r1" });
  await worker.roundTrip();
  expect(results).toEqual([["worker-1", 1, { type: "work_complete", requestId: "r1" }]]);
  expect(pool.get("worker-1")).toMatchObject({ activeRequests: 0, completedRequests: 1 });

  await worker.close(4000, "Done");
  await until(() => disconnected.length === 1, "the disconnected handler ran");
  expect(pool.getCount()).toBe(0);
});

test("binary frames are messages too", async () => {
  const { pool, port } = await listening();
  const worker = await TestWorker.connect(port);

  worker.socket.send(Buffer.from(JSON.stringify(registration())), { binary: true });

  expect((await worker.next()).success).toBe(true);
  expect(pool.has("worker-1")).toBe(true);
});

test("a wrong token is refused and the socket closed", async () => {
  const { pool, port } = await listening({ authToken: "secret" });
  const worker = await TestWorker.connect(port);

  worker.send(registration({ authToken: "wrong" }));
  worker.send(registration({ authToken: "secret" }));

  expect(await worker.nextText()).toBe(
    '{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}',
  );
  expect(await worker.closed).toEqual({ code: 4001, reason: "Authentication failed" });
  expect(pool.getCount()).toBe(0);
});

test("an invalid registration is refused and the socket closed", async () => {
  const { port } = await listening();
  const worker = await TestWorker.connect(port);

  worker.send(registration({ capabilities: null }));

  expect((await worker.next()).error).toBe("capabilities: expected an object, got null");
  expect(await worker.closed).toEqual({ code: 4002, reason: "Invalid registration" });
});

test("a new connection replaces the old one", async () => {
  const { pool, port, disconnected, logger } = await listening();
  const old = await TestWorker.register(port);

  const fresh = await TestWorker.register(port);

  expect(await old.closed).toEqual({ code: 4003, reason: "Replaced by new connection" });
  await until(() => logger.of("Unregistered WebSocket connection closed").length === 1, "its end is logged");
  expect(pool.getCount()).toBe(1);
  expect(disconnected).toEqual([]);
  await fresh.roundTrip();
});

test("registering again over the same socket ends in its removal", async () => {
  const { pool, port, disconnected } = await listening();
  const worker = await TestWorker.register(port);

  worker.send(registration());

  expect(await worker.closed).toEqual({ code: 4003, reason: "Replaced by new connection" });
  expect(worker.unread).toBe(0);
  await until(() => disconnected.length === 1, "the disconnected handler ran");
  expect(pool.getCount()).toBe(0);
});

test("a socket that breaks the protocol is an error and then a disconnect", async () => {
  const { port, logger, disconnected } = await listening();
  const worker = await TestWorker.register(port);

  // A frame without a mask, which clients must not send.
  (worker.socket as unknown as { _socket: NodeJS.WritableStream })._socket.write(Buffer.from([0x81, 0x00]));

  await until(() => disconnected.length === 1, "the disconnected handler ran");
  expect(logger.of("Worker WebSocket error")).toHaveLength(1);
  expect(logger.of("Worker disconnected")[0]!.rest).toEqual([
    { workerId: "worker-1", code: 1006, reason: "" },
  ]);
});

test("closing all tells workers, and calls no handler", async () => {
  const { pool, port, disconnected } = await listening();
  const workers = [
    await TestWorker.register(port),
    await TestWorker.register(port, { workerId: "worker-2" }),
  ];

  pool.closeAll();

  for (const worker of workers) {
    expect(await worker.closed).toEqual({ code: 1001, reason: "Server shutting down" });
  }
  expect(pool.getCount()).toBe(0);
  expect(disconnected).toEqual([]);
});
