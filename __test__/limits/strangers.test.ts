import type { WorkerServer } from "../../index.js";
import { checkAtAge, useFakeClock } from "../support/fake-clock";
import { recordEvents } from "../support/events";
import { infoOf } from "../support/infos";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker, registration } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const UNKNOWN = "Heartbeat from unknown worker";
const authToken = "secret";

/** A heartbeat is not answered, and once an own one is, all before was looked at. */
async function expectIgnored(server: WorkerServer, worker: TestWorker, workerId: unknown): Promise<void> {
  const before = server.stats().heartbeatsRefused;
  worker.send({ type: "heartbeat", workerId, timestamp: "ignored" });
  await until(() => server.stats().heartbeatsRefused === before + 1, "the heartbeat is refused");
  expect(worker.unread).toBe(0);
}

describe.each([
  ["without a token", {}],
  ["with a token", { authToken }],
])("heartbeats for an id that is not bound to their connection, %s", (_how, options) => {
  const join = (port: number, workerId: string): Promise<TestWorker> =>
    TestWorker.register(port, { workerId, authToken });

  test("do nothing to the worker that has it", async () => {
    const { server, port, logger } = await startServer(options);
    await join(port, "a");
    const other = await join(port, "b");
    const stranger = await TestWorker.connect(port);
    const { lastHeartbeat } = infoOf(server, "a");

    await expectIgnored(server, other, "a");
    await expectIgnored(server, stranger, "a");

    expect(infoOf(server, "a").lastHeartbeat).toBe(lastHeartbeat);
    await until(() => logger.of(UNKNOWN).length === 2, "both are logged");
  });

  test("do not bring back a worker that has left", async () => {
    const { server, port } = await startServer(options);
    const gone = await join(port, "a");
    const other = await join(port, "b");
    await gone.close();
    await until(() => server.getWorkerCount() === 1, "the worker has left");

    await expectIgnored(server, other, "a");

    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(["b"]);
  });

  test("of a connection that was replaced are ignored, too", async () => {
    const { server, port } = await startServer(options);
    const old = await join(port, "a");
    // It does not see the close frame and goes on talking.
    old.socket.pause();
    await join(port, "a");
    const { lastHeartbeat, sessionId } = infoOf(server, "a");

    await expectIgnored(server, old, "a");

    expect(infoOf(server, "a")).toMatchObject({ lastHeartbeat, sessionId });
  });
});

describe("a worker that is being closed for its silence", () => {
  const OPTIONS = { heartbeatTimeoutMs: 10_000, healthCheckIntervalMs: 1_000 };

  beforeEach(useFakeClock);
  afterEach(async () => {
    await stopServers();
    jest.useRealTimers();
  });

  test("is not revived by another's heartbeat, for nothing could be sent to it", async () => {
    const { server, port } = await startServer({ ...OPTIONS, limits: { closeTimeoutMs: Infinity } });
    const silent = await TestWorker.register(port);
    silent.socket.pause();
    const stranger = await TestWorker.connect(port);
    checkAtAge(server, 30_001, 1_000);

    await expectIgnored(server, stranger, "worker-1");

    expect(infoOf(server).status).toBe("unhealthy");
    expect(server.send("worker-1", {})).toBe(false);
  });
});

describe("a connection has one worker id", () => {
  test("a second registration releases the first, with its event", async () => {
    const { server, port, logger } = await startServer();
    const { connected, disconnected } = recordEvents(server);
    const worker = await TestWorker.register(port, { workerId: "first" });
    server.trackRequest("first", "request-1");

    worker.send(registration({ workerId: "second" }));
    await worker.next();

    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(["second"]);
    expect(connected.map(({ id }) => id)).toEqual(["first", "second"]);
    expect(disconnected.map(({ info, pending }) => [info.id, ...pending])).toEqual([["first", "request-1"]]);
    expect(logger.of("Worker disconnected").map(({ rest }) => rest)).toEqual([
      [{ workerId: "first", code: 4003, reason: "Replaced by new connection" }],
    ]);
    await expectIgnored(server, worker, "first");
    await worker.roundTrip("second");
  });

  test("a hundred registrations leave one worker and no ghost", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.connect(port);

    for (let n = 0; n < 100; n++) worker.send(registration({ workerId: `id-${n}` }));
    for (let n = 0; n < 100; n++) await worker.next();

    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(["id-99"]);
    await worker.close();
    await until(() => server.getWorkerCount() === 0, "the last one leaves with its connection");
  });
});
