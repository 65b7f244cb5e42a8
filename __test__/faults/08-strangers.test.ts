import type { WorkerServer } from "../../index.js";
import { recordEvents } from "../support/events";
import { recordMessages } from "../support/messages";
import { frame, writeRaw } from "../support/raw-connection";
import { type RecordingLogger, startServer, stopServers } from "../support/test-server";
import { TestWorker, registration } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const TOKEN = "the right one";

interface Scene {
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  /** Somebody with a request in work, whom nothing here may touch. */
  victim: TestWorker & { ack: any };
}

async function scene(): Promise<Scene> {
  const { server, port, logger } = await startServer({ authToken: TOKEN });
  const victim = await TestWorker.register(port, { workerId: "victim", authToken: TOKEN });
  server.trackRequest("victim", "request");
  return { server, port, logger, victim };
}

function pool(server: WorkerServer): object {
  return {
    workers: server.getWorkerInfo().map(({ id, status, sessionId }) => ({ id, status, sessionId })),
    slots: server.getAvailableSlotCount("sonnet"),
    connections: server.stats().connections,
    inFlight: server.stats().inFlight,
  };
}

/** Does it, and expects that the pool is as before and the victim is served when the stranger is gone. */
async function expectNoEffect(
  { server, port, victim }: Scene,
  act: (stranger: TestWorker) => void | Promise<void>,
): Promise<void> {
  const before = pool(server);
  const events = recordEvents(server);
  const heard = recordMessages(server, "work_complete");
  const lastHeartbeat = server.getWorkerInfo()[0]!.lastHeartbeat.getTime();
  const stranger = await TestWorker.connect(port);

  await act(stranger);
  const pong = new Promise((resolve) => stranger.socket.once("pong", resolve));
  if (stranger.socket.readyState === stranger.socket.OPEN) stranger.socket.ping();
  await Promise.race([pong, stranger.closed]);

  expect(server.getWorkerInfo()[0]!.lastHeartbeat.getTime()).toBe(lastHeartbeat);
  await stranger.terminate();
  await until(() => server.stats().connections === 1, "the stranger is gone");
  expect(pool(server)).toEqual(before);
  expect(heard).toEqual([]);
  expect(events).toEqual({ connected: [], disconnected: [] });
  await victim.roundTrip("victim");
  expect(server.send("victim", { type: "still there?" })).toBe(true);
  expect(await victim.next()).toEqual({ type: "still there?" });
}

test("messages of a stranger are dropped while a token is set, and settle nobody's request", async () => {
  const stage = await scene();
  const dropped = () => stage.server.stats().messagesDropped;

  await expectNoEffect(stage, async (stranger) => {
    for (let n = 0; n < 1_000; n++)
      stranger.send({ type: "work_complete", requestId: "request", workerId: "victim" });
    await until(() => dropped() === 1_000, "all are dropped");
  });

  expect(stage.logger.of("Message from unregistered worker dropped")).toHaveLength(1);
});

test.each([
  ["another's id", "victim"],
  ["nobody's id", "ghost"],
  ["an odd id", { toString: "victim" }],
])(
  "heartbeats of a stranger for %s are ignored while a token is set, and not answered",
  async (_whose, workerId) => {
    const stage = await scene();

    await expectNoEffect(stage, async (stranger) => {
      for (let n = 0; n < 100; n++) stranger.send({ type: "heartbeat", workerId, timestamp: "now" });
      await until(() => stage.server.stats().heartbeatsRefused === 100, "all are refused");
      expect(stranger.unread).toBe(0);
    });
  },
);

test("a stranger that breaks the protocol hurts itself only", async () => {
  const stage = await scene();

  await expectNoEffect(stage, async (stranger) => {
    writeRaw(stranger, frame("text", "x", { masked: false }));
    await stranger.closed;
  });
});

test("a worker cannot beat for another one", async () => {
  const { server, port } = await startServer({ heartbeatTimeoutMs: 300, healthCheckIntervalMs: 50 });
  await TestWorker.register(port, { workerId: "silent" });
  const other = await TestWorker.register(port, { workerId: "other" });
  const timer = setInterval(() => {
    for (const workerId of ["silent", "other"]) other.send({ type: "heartbeat", workerId, timestamp: "now" });
  }, 50);

  await until(() => server.getWorkerInfo()[0]?.status === "unhealthy", "the silent one is found");

  clearInterval(timer);
  expect(server.getWorkerInfo().find(({ id }) => id === "other")?.status).toBe("available");
});

test("a socket that registers under a thousand ids has one of them, and each was reported when it was given up", async () => {
  const { server, port } = await startServer();
  const events = recordEvents(server);
  const worker = await TestWorker.connect(port);

  for (let n = 0; n < 1_000; n++) worker.send(registration({ workerId: `id-${n}` }));
  await until(() => events.connected.length === 1_000, "all are registered");

  expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(["id-999"]);
  expect(server.getAvailableSlotCount("sonnet")).toBe(4);
  expect(events.disconnected.map(({ info }) => info.id)).toEqual(
    Array.from({ length: 999 }, (_, n) => `id-${n}`),
  );
  await worker.terminate();
  await until(() => server.getWorkerCount() === 0, "it is gone");
  expect(events.disconnected).toHaveLength(1_000);
}, 60_000);

test("a replaced socket that goes on talking has no effect on its successor", async () => {
  const { server, port } = await startServer();
  const old = await TestWorker.register(port);
  // It does not answer the close, and talks on.
  (old.socket as any)._receiver.removeAllListeners("conclude");
  const successor = await TestWorker.register(port);
  server.trackRequest("worker-1", "request");
  const done: unknown[] = [];
  server.onWorkerMessage("done", ({ id, sessionId }) => done.push([id, sessionId]));
  const lastHeartbeat = server.getWorkerInfo()[0]!.lastHeartbeat.getTime();

  for (const message of [{ type: "done" }, { type: "heartbeat", workerId: "worker-1" }, registration()]) {
    writeRaw(old, frame("text", JSON.stringify(message)));
  }
  await until(() => server.stats().heartbeatsRefused === 1, "it was heard");
  await until(() => server.stats().connections < 2, "one of the two is dropped");

  expect(done.filter(([, sessionId]: any) => sessionId === successor.ack.sessionId)).toEqual([]);
  expect(server.getWorkerInfo().map(({ sessionId }) => sessionId)).toEqual([successor.ack.sessionId]);
  expect(server.send("worker-1", { type: "work" })).toBe(true);
  expect(server.getWorkerInfo()[0]!.lastHeartbeat.getTime()).toBeGreaterThanOrEqual(lastHeartbeat);
});
