import { recordEvents } from "./support/events";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const REFUSAL = '{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}';

/** Registers with the token; a registration that is refused is not an error here. */
async function attempt(port: number, authToken: unknown): Promise<TestWorker> {
  const worker = await TestWorker.connect(port);
  worker.send(registration({ authToken }));
  return worker;
}

test("the right token is accepted", async () => {
  const { server, port } = await startServer({ authToken: "sécret-töken 🔑" });

  const worker = await attempt(port, "sécret-töken 🔑");

  expect(await worker.next()).toMatchObject({ success: true });
  expect(server.getWorkerCount()).toBe(1);
});

describe("a wrong token", () => {
  const wrongTokens: [string, unknown][] = [
    ["another string", "Secret"],
    ["a prefix of it", "secre"],
    ["an extension of it", "secret "],
    ["the empty string", ""],
    ["none", undefined],
    ["null", null],
    ["a number", 5],
    ["true", true],
    ["an array that prints like it", ["secret"]],
    ["an object", { toString: "secret" }],
  ];

  test.each(wrongTokens)("is refused and the socket closed with 4001: %s", async (_case, token) => {
    const { port } = await startServer({ authToken: "secret" });

    const worker = await attempt(port, token);

    expect(await worker.nextText()).toBe(REFUSAL);
    expect(await worker.closed).toStrictEqual({ code: 4001, reason: "Authentication failed" });
  });

  test("is compared byte by byte: another Unicode form of the same text is wrong", async () => {
    const { port } = await startServer({ authToken: "\u00e9" });

    const worker = await attempt(port, "e\u0301");

    expect(await worker.nextText()).toBe(REFUSAL);
  });

  test("that continues after a NUL where the right one ends is wrong", async () => {
    const { port } = await startServer({ authToken: "secret" });

    const worker = await attempt(port, "secret\u0000more");

    expect(await worker.nextText()).toBe(REFUSAL);
  });

  test("adds nobody to the pool and runs no handler", async () => {
    const { server, port, logger } = await startServer({ authToken: "secret" });
    const events = recordEvents(server);

    const worker = await attempt(port, "wrong");
    await worker.closed;
    await until(
      () => logger.of("Unregistered WebSocket connection closed").length > 0,
      "the server notices the close",
    );

    expect(server.getWorkerCount()).toBe(0);
    expect(events).toStrictEqual({ connected: [], disconnected: [] });
  });

  test("is warned about, with the worker id and never the token", async () => {
    const { port, logger } = await startServer({ authToken: "secret" });

    const worker = await attempt(port, "wrong");
    await worker.closed;
    await until(() => logger.lines.length >= 4, "the close is logged");

    expect(logger.lines.slice(1)).toStrictEqual([
      { level: "debug", message: "New WebSocket connection from potential worker", rest: [] },
      {
        level: "warn",
        message: "Worker registration rejected: invalid auth token",
        rest: [{ workerId: "worker-1" }],
      },
      {
        level: "debug",
        message: "Unregistered WebSocket connection closed",
        rest: [{ code: 4001, reason: "Authentication failed" }],
      },
    ]);
  });

  test("is found before anything else is: an invalid registration gets the same refusal", async () => {
    const { port } = await startServer({ authToken: "secret" });
    const worker = await TestWorker.connect(port);

    worker.send(registration({ authToken: "wrong", capabilities: null }));

    expect(await worker.nextText()).toBe(REFUSAL);
  });

  test("does not replace the worker whose id it names", async () => {
    const { server, port } = await startServer({ authToken: "secret" });
    const worker = await TestWorker.register(port, { authToken: "secret" });

    await (
      await attempt(port, "wrong")
    ).closed;
    await worker.roundTrip();

    expect(server.getWorkerInfo()[0]?.sessionId).toBe(worker.ack.sessionId);
    expect(worker.socket.readyState).toBe(worker.socket.OPEN);
  });

  test("is the only attempt: a good registration right behind it is not evaluated", async () => {
    const { server, port, logger } = await startServer({ authToken: "secret" });
    const { connected } = recordEvents(server);
    const worker = await TestWorker.connect(port);

    worker.send(registration({ authToken: "wrong" }));
    worker.send(registration({ authToken: "secret" }));
    await worker.closed;
    await until(
      () => logger.of("Unregistered WebSocket connection closed").length > 0,
      "the server notices the close",
    );

    expect(await worker.nextText()).toBe(REFUSAL);
    expect(worker.unread).toBe(0);
    expect(connected).toStrictEqual([]);
  });
});

describe("without a configured token", () => {
  test.each([
    ["missing", undefined],
    ["any", "whatever"],
    ["5", 5],
    ["null", null],
  ])("a worker's token is not looked at: %s", async (_case, token) => {
    const { port } = await startServer();

    const worker = await attempt(port, token);

    expect(await worker.next()).toMatchObject({ success: true });
  });
});

describe("the empty string as configured token", () => {
  test.each([
    ["missing", undefined],
    ["null", null],
    ["empty", ""],
  ])("is matched by a %s one", async (_case, token) => {
    const { port } = await startServer({ authToken: "" });

    const worker = await attempt(port, token);

    expect(await worker.next()).toMatchObject({ success: true });
  });

  test.each([
    ["a string", "x"],
    ["0", 0],
    ["false", false],
    ["an empty array", []],
  ])("is not matched by %s", async (_case, token) => {
    const { port } = await startServer({ authToken: "" });

    const worker = await attempt(port, token);

    expect(await worker.nextText()).toBe(REFUSAL);
  });
});

describe("with a configured token, before registration", () => {
  test("application messages are dropped, those after it are delivered", async () => {
    const { server, port } = await startServer({ authToken: "secret" });
    const delivered: unknown[] = [];
    server.onWorkerMessage("report", (worker, message) => delivered.push([worker.id, message]));
    const worker = await TestWorker.connect(port);

    worker.send({ type: "report", n: 1 });
    worker.send(registration({ authToken: "secret" }));
    worker.send({ type: "report", n: 2 });
    await until(() => delivered.length > 0, "the message after the registration is delivered");

    expect(delivered).toStrictEqual([["worker-1", { type: "report", n: 2 }]]);
  });
});
