import { ConnectionHandler, WorkerPool, type WorkerServer } from "../../index.js";
import { handledSoFar } from "../support/barrier";
import { useFakeClock } from "../support/fake-clock";
import { MockSocket } from "../support/plain-worker";
import { RecordingLogger, startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

beforeEach(useFakeClock);

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

const NOTICE = "Logged too often, only counted for a minute";

type Counter = "messagesInvalid" | "messagesUnhandled" | "heartbeatsRefused";

const CAUSES: [warning: string, text: string, counter: Counter][] = [
  ["Invalid JSON message from worker", "{nope", "messagesInvalid"],
  ["Invalid JSON message from worker", '{"type":"heartbeat"', "messagesInvalid"],
  ["Message missing type field", "[]", "messagesInvalid"],
  ["Message missing type field", '{"kind":"heartbeat"}', "messagesInvalid"],
  ["Unhandled message type from worker", '{"type":"mystery"}', "messagesUnhandled"],
  ["Heartbeat from unknown worker", '{"type":"heartbeat","workerId":"nobody"}', "heartbeatsRefused"],
];

async function send(server: WorkerServer, worker: TestWorker, text: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) worker.sendText(text);
  await handledSoFar(server, worker);
}

/** How often the warning was logged, and how often that there is more of it. */
function linesOf(logger: RecordingLogger, warning: string): [warnings: number, notices: number] {
  const notices = logger
    .of(NOTICE)
    .filter(({ rest }) => (rest[0] as { message: string }).message === warning);
  return [logger.of(warning).length, notices.length];
}

describe.each(CAUSES)("%s: %s", (warning, text, counter) => {
  test("is logged ten times, then that there is more, then only counted", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);

    await send(server, worker, text, 9);
    expect(linesOf(logger, warning)).toEqual([9, 0]);
    await send(server, worker, text, 1);
    expect(linesOf(logger, warning)).toEqual([10, 0]);
    await send(server, worker, text, 1);
    expect(linesOf(logger, warning)).toEqual([10, 1]);
    await send(server, worker, text, 1_000);
    expect(linesOf(logger, warning)).toEqual([10, 1]);

    expect(server.stats()[counter]).toBe(1_011);
  });

  test("is logged anew a minute later, and of others all the time", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);
    const other = await TestWorker.register(port, { workerId: "other" });
    await send(server, worker, text, 20);

    await send(server, other, text, 1);
    expect(linesOf(logger, warning)).toEqual([11, 1]);

    jest.setSystemTime(Date.now() + 59_000);
    await send(server, worker, text, 1);
    expect(linesOf(logger, warning)).toEqual([11, 1]);

    jest.setSystemTime(Date.now() + 1_000);
    await send(server, worker, text, 20);
    expect(linesOf(logger, warning)).toEqual([21, 2]);
  });
});

test("causes do not share their lines", async () => {
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);

  for (const [, text] of CAUSES) await send(server, worker, text, 5);

  expect(logger.of(NOTICE)).toEqual([]);
  expect(logger.lines.filter(({ level }) => level === "warn")).toHaveLength(5 * CAUSES.length);
});

test("connections that have not registered share theirs", async () => {
  const { server, port, logger } = await startServer();

  for (let n = 0; n < 4; n++) await send(server, await TestWorker.connect(port), "{nope", 3);

  expect(linesOf(logger, "Invalid JSON message from worker")).toEqual([10, 1]);
  expect(server.stats().messagesInvalid).toBe(12);
});

test.each([
  [0, 0, 1],
  [3, 3, 1],
  [Infinity, 100, 0],
])("maxWarningsPerMinute: %d", async (maxWarningsPerMinute, warnings, notices) => {
  const { server, port, logger } = await startServer({ limits: { maxWarningsPerMinute } });
  const worker = await TestWorker.register(port);

  await send(server, worker, "{nope", 100);

  expect(linesOf(logger, "Invalid JSON message from worker")).toEqual([warnings, notices]);
});

test("what a handler throws is the application's, and logged each time", async () => {
  const { server, port, logger } = await startServer();
  server.onWorkerMessage("odd", () => {
    throw new Error("on purpose");
  });
  const worker = await TestWorker.register(port);

  await send(server, worker, '{"type":"odd"}', 30);

  expect(logger.of("Error in message handler")).toHaveLength(30);
});

test("a handler over sockets of the application logs by the same rule", () => {
  const logger = new RecordingLogger();
  const handler = new ConnectionHandler(new WorkerPool(), { limits: { maxWarningsPerMinute: 2 } }, logger);
  const sockets = [new MockSocket(), new MockSocket()];
  for (const socket of sockets) handler.handleConnection(socket);

  for (const socket of sockets) {
    for (let n = 0; n < 10; n++) {
      for (const [, text] of CAUSES) socket.emit("message", Buffer.from(text));
    }
  }

  for (const warning of new Set(CAUSES.map(([message]) => message))) {
    expect(linesOf(logger, warning)).toEqual([4, 2]);
  }
});

test("a flood is over before the log is", async () => {
  jest.useRealTimers();
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);

  for (let n = 0; n < 20_000; n++) worker.sendText(CAUSES[n % CAUSES.length]![1]);
  await until(() => {
    const { messagesInvalid, messagesUnhandled, heartbeatsRefused } = server.stats();
    return messagesInvalid + messagesUnhandled + heartbeatsRefused === 20_000;
  }, "all are counted");

  expect(logger.lines.filter(({ level }) => level === "warn").length).toBeLessThanOrEqual(4 * 11);
});

test("of a type as long as a message the first 1,024 characters are logged", async () => {
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);

  for (const length of [1_024, 1_025, 500_000]) worker.send({ type: "t".repeat(length) });
  await handledSoFar(server, worker);

  const start = "t".repeat(1_024);
  const types = logger.of("Unhandled message type from worker").map(({ rest }) => (rest[0] as any).type);
  expect(types).toEqual([start, `${start}...`, `${start}...`]);
});
