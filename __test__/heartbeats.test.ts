import type { WorkerServer } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { infoOf } from "./support/infos";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** The answer to a heartbeat whose timestamp is that JSON text, as it came over the wire. */
async function answerTo(timestamp: string): Promise<string> {
  const { port } = await startServer();
  const worker = await TestWorker.register(port);
  worker.sendText(`{"type":"heartbeat","workerId":"worker-1","timestamp":${timestamp}}`);
  return worker.nextText();
}

/** Waits until time has passed for that worker's clock to show it. */
async function clockPasses(server: WorkerServer, workerId = "worker-1"): Promise<void> {
  const { lastHeartbeat } = infoOf(server, workerId);
  const start = lastHeartbeat.getTime();
  await until(() => Date.now() > start + 5, "the clock moves on");
}

describe("the answer to a heartbeat", () => {
  test("is exactly type, timestamp and deadline, in this order, in a text frame", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);
    const frame = new Promise<[Buffer, boolean]>((resolve) => {
      worker.socket.once("message", (data: Buffer, isBinary) => resolve([data, isBinary]));
    });

    worker.send({ type: "heartbeat", workerId: "worker-1", timestamp: "2024-01-01T00:00:00.000Z" });

    const [data, isBinary] = await frame;
    const { nextHeartbeatDeadline } = JSON.parse(data.toString());
    expect(isBinary).toBe(false);
    expect(nextHeartbeatDeadline).toMatch(ISO_TIME);
    expect(data.toString()).toBe(
      `{"type":"heartbeat_ack","timestamp":"2024-01-01T00:00:00.000Z",` +
        `"nextHeartbeatDeadline":"${nextHeartbeatDeadline}"}`,
    );
  });

  test("has no timestamp when the heartbeat had none", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);

    worker.send({ type: "heartbeat", workerId: "worker-1" });

    const text = await worker.nextText();
    expect(Object.keys(JSON.parse(text))).toEqual(["type", "nextHeartbeatDeadline"]);
    expect(text.startsWith('{"type":"heartbeat_ack","nextHeartbeatDeadline":"')).toBe(true);
  });

  test.each([
    0,
    1_700_000_000_000,
    -1.5,
    1e21,
    true,
    null,
    "",
    'größer 😀 "quoted" \\ \n',
    "\ud800",
    [],
    [1, [2, {}]],
    { b: 1, a: { type: "heartbeat", timestamp: 2 } },
  ])("repeats the timestamp %j byte for byte", async (timestamp) => {
    const text = JSON.stringify(timestamp);

    expect((await answerTo(text)).startsWith(`{"type":"heartbeat_ack","timestamp":${text},"next`)).toBe(true);
  });

  test.each(["1.0", "1E2", "12345678901234567890", '{ "a" : [ 1 , 2 ] }', '"\\u0041\\/"', '{"a":1,"a":2}'])(
    "repeats the value of the timestamp %s",
    async (text) => {
      expect(JSON.parse(await answerTo(text)).timestamp).toStrictEqual(JSON.parse(text));
    },
  );

  test("repeats the last of two timestamps", async () => {
    expect(JSON.parse(await answerTo('1,"timestamp":2')).timestamp).toBe(2);
  });

  test.each([
    ["as configured", { heartbeatTimeoutMs: 1234 }, 1234],
    ["60 s by default", {}, 60_000],
    ["60 s when null is given", { heartbeatTimeoutMs: null as never }, 60_000],
    ["0 when 0 is given", { heartbeatTimeoutMs: 0 }, 0],
  ])("names a deadline one timeout from now: %s", async (_what, options, timeout) => {
    const { port } = await startServer(options);
    const worker = await TestWorker.register(port);
    const before = Date.now();

    worker.send({ type: "heartbeat", workerId: "worker-1" });
    const { nextHeartbeatDeadline } = await worker.next();

    // Two clocks that are both right may differ by a rounding.
    expect(Date.parse(nextHeartbeatDeadline)).toBeGreaterThanOrEqual(before + timeout - 2);
    expect(Date.parse(nextHeartbeatDeadline)).toBeLessThanOrEqual(Date.now() + timeout + 2);
  });

  test("comes once for each heartbeat, in order", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);
    const beats = Array.from({ length: 500 }, (_, beat) => beat);

    for (const timestamp of beats) worker.send({ type: "heartbeat", workerId: "worker-1", timestamp });

    for (const timestamp of beats) expect((await worker.next()).timestamp).toBe(timestamp);
    await worker.roundTrip();
    expect(worker.unread).toBe(0);
  });

  test("comes for a heartbeat in a binary frame as well", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);

    worker.socket.send(Buffer.from('{"type":"heartbeat","workerId":"worker-1","timestamp":7}'));

    expect(await worker.next()).toMatchObject({ type: "heartbeat_ack", timestamp: 7 });
  });

  test("goes to a worker whose id is a number if the number is given", async () => {
    const { port, logger } = await startServer();
    const worker = await TestWorker.register(port, { workerId: 5 });

    worker.send({ type: "heartbeat", workerId: "5", timestamp: "text" });
    worker.send({ type: "heartbeat", workerId: 5, timestamp: "number" });

    expect((await worker.next()).timestamp).toBe("number");
    await until(() => logger.of("Heartbeat from unknown worker").length === 1, "the warning");
    expect(logger.of("Heartbeat from unknown worker")[0]!.rest).toEqual([{ workerId: "5" }]);
  });
});

describe("a heartbeat", () => {
  test("logs nothing", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);
    const before = [...logger.lines];

    await worker.roundTrip();
    await handledSoFar(server, worker);

    expect(logger.lines).toEqual(before);
  });

  test("gives the worker a new Date, and older infos keep theirs", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const older = infoOf(server);
    const olderTime = older.lastHeartbeat.getTime();
    await clockPasses(server);

    await worker.roundTrip();
    const newer = infoOf(server);

    expect(newer.lastHeartbeat).not.toBe(older.lastHeartbeat);
    expect(newer.lastHeartbeat.getTime()).toBeGreaterThan(olderTime);
    expect(newer.lastHeartbeat.getTime()).toBeLessThanOrEqual(Date.now() + 2);
    expect(older.lastHeartbeat.getTime()).toBe(olderTime);
  });

  test("leaves connectedAt alone", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const { connectedAt } = infoOf(server);
    const time = connectedAt.getTime();
    await clockPasses(server);

    await worker.roundTrip();

    expect(infoOf(server).connectedAt).toBe(connectedAt);
    expect(connectedAt.getTime()).toBe(time);
  });

  test("is the only thing that counts as one: messages and pings do not", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const { lastHeartbeat } = infoOf(server);
    await clockPasses(server);

    const pong = new Promise((resolve) => worker.socket.once("pong", resolve));
    worker.socket.ping();
    await pong;
    await handledSoFar(server, worker);

    expect(infoOf(server).lastHeartbeat).toBe(lastHeartbeat);
  });

  test("of one worker does not count for another", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    await TestWorker.register(port, { workerId: "other" });
    const { lastHeartbeat } = infoOf(server, "other");
    await clockPasses(server, "other");

    await worker.roundTrip();

    expect(infoOf(server, "other").lastHeartbeat).toBe(lastHeartbeat);
  });
});

describe("a heartbeat for a worker that is not bound to the socket", () => {
  const WARNING = "Heartbeat from unknown worker";

  test.each([
    ["an id nobody has", { workerId: "nobody" }],
    ["no id", {}],
    ["null", { workerId: null }],
    ["the id of another worker", { workerId: "other" }],
  ])("is warned about and not answered: %s", async (_what, fields: { workerId?: unknown }) => {
    const { server, port, logger } = await startServer();
    await TestWorker.register(port, { workerId: "other" });
    const worker = await TestWorker.register(port);

    worker.send({ type: "heartbeat", timestamp: "unanswered", ...fields });
    worker.send({ type: "heartbeat", workerId: "worker-1", timestamp: "answered" });

    expect((await worker.next()).timestamp).toBe("answered");
    await handledSoFar(server, worker);
    const lines = logger.of(WARNING);
    expect(lines).toEqual([{ level: "warn", message: WARNING, rest: [{ workerId: fields.workerId }] }]);
  });

  test("is warned about and not answered when the socket is not registered", async () => {
    const { server, port, logger } = await startServer();
    await TestWorker.register(port);
    const stranger = await TestWorker.connect(port);

    stranger.send({ type: "heartbeat", workerId: "worker-1" });
    await handledSoFar(server, stranger);

    expect(logger.of(WARNING)).toEqual([
      { level: "warn", message: WARNING, rest: [{ workerId: "worker-1" }] },
    ]);
    expect(stranger.unread).toBe(0);
  });

  test("does not refresh the worker it names", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port);
    const stranger = await TestWorker.register(port, { workerId: "stranger" });
    const { lastHeartbeat } = infoOf(server);
    await clockPasses(server);

    stranger.send({ type: "heartbeat", workerId: "worker-1" });
    await handledSoFar(server, stranger);

    expect(infoOf(server).lastHeartbeat).toBe(lastHeartbeat);
  });
});
