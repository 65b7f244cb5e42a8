import { WorkerServer, WorkerStatus } from "../index.js";
import { checkAtAge, useFakeClock } from "./support/fake-clock";
import { infoOf, listedIds } from "./support/infos";
import { type RecordingLogger, startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities } from "./support/test-worker";
import { until } from "./support/until";

const TIMEOUT = 10_000;
const INTERVAL = 1_000;
const OPTIONS = { heartbeatTimeoutMs: TIMEOUT, healthCheckIntervalMs: INTERVAL };
const TIMED_OUT = "Worker heartbeat timeout";
const PRESUMED_DEAD = "Worker connection presumed dead, closing";

/** Real time that may pass between the stamp of a heartbeat and a look at the clock. */
const TOLERANCE = 500;

beforeEach(useFakeClock);

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

async function serverWithWorker(registration: Record<string, unknown> = {}): Promise<{
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  worker: TestWorker;
}> {
  const { server, port, logger } = await startServer(OPTIONS);
  const worker = await TestWorker.register(port, registration);
  return { server, port, logger, worker };
}

function warnings(logger: RecordingLogger): unknown[] {
  return logger.lines.filter(({ level }) => level === "warn").map(({ message, rest }) => [message, ...rest]);
}

function timedOut(timeSinceHeartbeat: number, workerId = "worker-1", threshold = TIMEOUT): unknown[] {
  return [TIMED_OUT, { workerId, timeSinceHeartbeat, threshold }];
}

describe("the health timer", () => {
  test("is not set by constructing a server", () => {
    new WorkerServer({ port: 0 });

    expect(jest.getTimerCount()).toBe(0);
  });

  test("ends with stop()", async () => {
    const { server } = await startServer(OPTIONS);

    await server.stop();

    expect(jest.getTimerCount()).toBe(0);
  });

  test("makes its first check after one interval and not before", async () => {
    const { server } = await serverWithWorker();
    jest.setSystemTime(infoOf(server).lastHeartbeat.getTime() + 2 * TIMEOUT);

    jest.advanceTimersByTime(INTERVAL - 1);
    expect(infoOf(server).status).toBe("available");

    jest.advanceTimersByTime(1);
    expect(infoOf(server).status).toBe("unhealthy");
  });

  test.each([
    ["left out", {}],
    ["undefined", { heartbeatTimeoutMs: undefined, healthCheckIntervalMs: undefined }],
    ["null", { heartbeatTimeoutMs: null, healthCheckIntervalMs: null }],
  ])("checks every 10 s against 60 s when the options are %s", async (_what, options) => {
    const { server, port, logger } = await startServer(options as never);
    await TestWorker.register(port);
    jest.setSystemTime(infoOf(server).lastHeartbeat.getTime() + 60_000 + 1 - 10_000);

    jest.advanceTimersByTime(9_999);
    expect(warnings(logger)).toEqual([]);

    jest.advanceTimersByTime(1);
    expect(warnings(logger)).toEqual([timedOut(60_001, "worker-1", 60_000)]);
  });

  test("takes a timeout of 0 as it is", async () => {
    const { server, port, logger } = await startServer({ ...OPTIONS, heartbeatTimeoutMs: 0 });
    await TestWorker.register(port);

    checkAtAge(server, 0, INTERVAL);
    expect(warnings(logger)).toEqual([]);

    checkAtAge(server, 1, INTERVAL);
    expect(warnings(logger)).toContainEqual(timedOut(1, "worker-1", 0));
  });
});

describe("a silent worker", () => {
  test("is left alone while it is exactly as old as the timeout", async () => {
    const { server, logger } = await serverWithWorker();

    checkAtAge(server, TIMEOUT, INTERVAL);

    expect(infoOf(server).status).toBe(WorkerStatus.Available);
    expect(warnings(logger)).toEqual([]);
  });

  test("is unhealthy, with one warning, once it is older than the timeout", async () => {
    const { server, logger } = await serverWithWorker();

    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    expect(infoOf(server).status).toBe(WorkerStatus.Unhealthy);
    expect(warnings(logger)).toEqual([timedOut(TIMEOUT + 1)]);
  });

  test("is warned about only once, however many checks follow", async () => {
    const { server, logger } = await serverWithWorker();

    checkAtAge(server, TIMEOUT + 1, INTERVAL);
    jest.advanceTimersByTime(5 * INTERVAL);

    expect(warnings(logger)).toEqual([timedOut(TIMEOUT + 1)]);
  });

  test("is unhealthy also when it was busy", async () => {
    const { server } = await serverWithWorker({ capabilities: capabilities({ maxConcurrentRequests: 1 }) });
    server.trackRequest("worker-1", "r1");
    expect(infoOf(server).status).toBe(WorkerStatus.Busy);

    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    expect(infoOf(server).status).toBe(WorkerStatus.Unhealthy);
  });

  test("does not make a beating one unhealthy", async () => {
    const { server, port, worker, logger } = await serverWithWorker();
    await TestWorker.register(port, { workerId: "silent" });

    for (let time = 0; time <= TIMEOUT; time += 5 * INTERVAL) {
      jest.advanceTimersByTime(5 * INTERVAL);
      await worker.roundTrip();
    }

    expect(server.getWorkerInfo().map(({ id, status }) => [id, status])).toEqual([
      ["worker-1", "available"],
      ["silent", "unhealthy"],
    ]);
    expect(warnings(logger)).toHaveLength(1);
  });

  test("is still counted, listed, sent to and broadcast to, but not selected", async () => {
    const { server, worker } = await serverWithWorker();

    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    expect(server.getWorkerCount()).toBe(1);
    expect(listedIds(server)).toEqual(["worker-1"]);
    expect(server.getAvailableWorkerCount()).toBe(0);
    expect(server.getAvailableWorker("sonnet-3.5")).toBeNull();
    expect(server.getAnyAvailableWorker()).toBeNull();
    expect(server.getAvailableSlotCount("sonnet-3.5")).toBe(0);
    expect(server.send("worker-1", { type: "sent" })).toBe(true);
    server.broadcast({ type: "broadcast" });
    expect([await worker.next(), await worker.next()]).toEqual([{ type: "sent" }, { type: "broadcast" }]);
  });
});

describe("a heartbeat of an unhealthy worker", () => {
  test("makes it available", async () => {
    const { server, worker } = await serverWithWorker();
    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    await worker.roundTrip();

    expect(infoOf(server).status).toBe(WorkerStatus.Available);
    expect(server.getAvailableWorker("sonnet-3.5")?.id).toBe("worker-1");
  });

  test("makes it busy when it is at capacity", async () => {
    const { server, worker } = await serverWithWorker({
      capabilities: capabilities({ maxConcurrentRequests: 1 }),
    });
    server.trackRequest("worker-1", "r1");
    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    await worker.roundTrip();

    expect(infoOf(server).status).toBe(WorkerStatus.Busy);
    expect(server.getAvailableWorker("sonnet-3.5")).toBeNull();
  });

  test("makes the next silence count anew", async () => {
    const { server, worker, logger } = await serverWithWorker();
    checkAtAge(server, TIMEOUT + 1, INTERVAL);
    await worker.roundTrip();

    checkAtAge(server, TIMEOUT, INTERVAL);
    expect(infoOf(server).status).toBe(WorkerStatus.Available);
    checkAtAge(server, TIMEOUT + 1, INTERVAL);

    expect(warnings(logger)).toEqual([timedOut(TIMEOUT + 1), timedOut(TIMEOUT + 1)]);
  });

  test("is stamped with the clock the check ran on", async () => {
    const { server, worker } = await serverWithWorker();
    checkAtAge(server, 2 * TIMEOUT, INTERVAL);

    await worker.roundTrip();

    const age = Date.now() - infoOf(server).lastHeartbeat.getTime();
    expect(Math.abs(age)).toBeLessThan(TOLERANCE);
  });
});

test.each([
  ["available", 0],
  ["busy", 4],
])("a heartbeat leaves an %s worker as it is", async (status, requests) => {
  const { server, worker } = await serverWithWorker();
  for (let request = 0; request < requests; request++) server.trackRequest("worker-1", `r${request}`);

  await worker.roundTrip();

  expect(infoOf(server).status).toBe(status);
});

describe("a worker silent for three timeouts", () => {
  test("is not closed while it is exactly that old", async () => {
    const { server, worker, logger } = await serverWithWorker();

    checkAtAge(server, 3 * TIMEOUT, INTERVAL);
    await worker.roundTrip();

    expect(logger.of(PRESUMED_DEAD)).toEqual([]);
    expect(worker.socket.readyState).toBe(worker.socket.OPEN);
  });

  test("is closed with 4003 once it is older", async () => {
    const { server, worker, logger } = await serverWithWorker();

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);

    expect(await worker.closed).toEqual({ code: 4003, reason: "Heartbeat timeout" });
    expect(logger.of(PRESUMED_DEAD)[0]).toEqual({
      level: "warn",
      message: PRESUMED_DEAD,
      rest: [{ workerId: "worker-1" }],
    });
  });

  test("is first marked, then closed, when one check finds both", async () => {
    const { server, logger } = await serverWithWorker();

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);

    expect(warnings(logger)).toEqual([timedOut(3 * TIMEOUT + 1), [PRESUMED_DEAD, { workerId: "worker-1" }]]);
  });

  test("leaves the pool only when its socket is closed", async () => {
    const { server } = await serverWithWorker();
    const disconnected: [string, number][] = [];
    server.onWorkerDisconnected(({ id }) => disconnected.push([id, server.getWorkerCount()]));

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);
    expect(listedIds(server)).toEqual(["worker-1"]);
    expect(disconnected).toEqual([]);

    await until(() => disconnected.length === 1, "the worker is disconnected");
    expect(disconnected).toEqual([["worker-1", 0]]);
  });

  test("is warned about at every check until its socket is closed", async () => {
    const { server, logger } = await serverWithWorker();

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);
    jest.advanceTimersByTime(2 * INTERVAL);
    expect(logger.of(PRESUMED_DEAD)).toHaveLength(3);

    await until(() => server.getWorkerCount() === 0, "the worker is removed");
    const count = logger.of(PRESUMED_DEAD).length;
    jest.advanceTimersByTime(2 * INTERVAL);
    expect(logger.of(PRESUMED_DEAD)).toHaveLength(count);
  });

  test("is dropped at the next check when it has not answered the close by then", async () => {
    const { server, port } = await startServer({ ...OPTIONS, limits: { closeTimeoutMs: Infinity } });
    const worker = await TestWorker.register(port);
    const disconnected: string[] = [];
    server.onWorkerDisconnected(({ id }) => disconnected.push(id));
    worker.socket.pause();

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);
    jest.advanceTimersByTime(INTERVAL);
    await until(() => disconnected.length === 1, "the worker is disconnected");

    expect(server.getWorkerCount()).toBe(0);
    worker.socket.resume();
    expect(await worker.closed).toEqual({ code: 4003, reason: "Heartbeat timeout" });
  });

  test("is sent nothing more once it is closing", async () => {
    const { server, worker } = await serverWithWorker();

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);

    expect(server.send("worker-1", { type: "late" })).toBe(false);
    server.broadcast({ type: "late" });
    await worker.closed;
    expect(worker.unread).toBe(0);
  });

  test("is dealt with in the order of the pool, all marked before the first is closed", async () => {
    const { server, port, logger } = await serverWithWorker();
    await TestWorker.register(port, { workerId: "worker-2" });
    const time = infoOf(server).lastHeartbeat.getTime();
    infoOf(server, "worker-2").lastHeartbeat.setTime(time);

    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);

    expect(warnings(logger)).toEqual([
      timedOut(3 * TIMEOUT + 1, "worker-1"),
      timedOut(3 * TIMEOUT + 1, "worker-2"),
      [PRESUMED_DEAD, { workerId: "worker-1" }],
      [PRESUMED_DEAD, { workerId: "worker-2" }],
    ]);
  });

  test("can connect again under its id", async () => {
    const { server, port, worker } = await serverWithWorker();
    checkAtAge(server, 3 * TIMEOUT + 1, INTERVAL);
    await worker.closed;

    const { ack } = await TestWorker.register(port);

    await until(() => server.getWorkerCount() === 1, "only the new connection is left");
    expect(infoOf(server)).toMatchObject({ sessionId: ack.sessionId, status: "available" });
  });
});

test("in real time a silent worker is closed and a beating one is not", async () => {
  jest.useRealTimers();
  const { server, port } = await startServer({ heartbeatTimeoutMs: 400, healthCheckIntervalMs: 50 });
  const silent = await TestWorker.register(port, { workerId: "silent" });
  const beating = await TestWorker.register(port, { workerId: "beating" });
  const beats = setInterval(() => beating.send({ type: "heartbeat", workerId: "beating" }), 50);

  const { code } = await silent.closed;
  clearInterval(beats);

  expect(code).toBe(4003);
  expect(infoOf(server, "beating").status).toBe(WorkerStatus.Available);
  expect(beating.socket.readyState).toBe(beating.socket.OPEN);
});
