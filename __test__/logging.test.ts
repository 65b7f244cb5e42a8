import type { WorkerServerLogger } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { recordEvents } from "./support/events";
import { RecordingLogger, createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

/** The lines about what `act` did with a registered worker. */
async function linesOf(
  act: (worker: TestWorker) => void,
  prepare: (server: Awaited<ReturnType<typeof startServer>>["server"]) => void = () => {},
): Promise<RecordingLogger["lines"]> {
  const { server, port, logger } = await startServer();
  prepare(server);
  const worker = await TestWorker.register(port);
  logger.lines.length = 0;
  act(worker);
  await handledSoFar(server, worker);
  return logger.lines;
}

test("a whole life is logged line by line", async () => {
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);
  await worker.close(1000, "done");
  await until(() => server.getWorkerCount() === 0, "the worker leaves");

  await server.stop();

  expect(logger.lines).toStrictEqual([
    { level: "debug", message: "HTTP + WebSocket server started", rest: [{ port }] },
    { level: "debug", message: "New WebSocket connection from potential worker", rest: [] },
    {
      level: "debug",
      message: "Worker registered",
      rest: [
        {
          workerId: "worker-1",
          workerName: "Worker One",
          models: ["sonnet-3.5"],
          maxConcurrentRequests: 4,
        },
      ],
    },
    {
      level: "debug",
      message: "Worker disconnected",
      rest: [{ workerId: "worker-1", code: 1000, reason: "done" }],
    },
    { level: "debug", message: "HTTP + WebSocket server stopped", rest: [] },
  ]);
});

describe("about messages", () => {
  test("invalid JSON is warned about, without a context", async () => {
    expect(await linesOf((worker) => worker.sendText("{nope"))).toStrictEqual([
      { level: "warn", message: "Invalid JSON message from worker", rest: [] },
    ]);
  });

  test("a missing type is warned about, without a context", async () => {
    expect(await linesOf((worker) => worker.send({ kind: "report" }))).toStrictEqual([
      { level: "warn", message: "Message missing type field", rest: [] },
    ]);
  });

  test("a type that nobody handles is warned about", async () => {
    expect(await linesOf((worker) => worker.send({ type: "mystery" }))).toStrictEqual([
      {
        level: "warn",
        message: "Unhandled message type from worker",
        rest: [{ type: "mystery" }],
      },
    ]);
  });

  test("a handled message is not logged", async () => {
    const lines = await linesOf(
      (worker) => worker.send({ type: "report" }),
      (server) => server.onWorkerMessage("report", () => {}),
    );

    expect(lines).toStrictEqual([]);
  });

  test("a throwing handler is an error with type and message", async () => {
    const lines = await linesOf(
      (worker) => worker.send({ type: "report" }),
      (server) =>
        server.onWorkerMessage("report", () => {
          throw new Error("handler broke");
        }),
    );

    expect(lines).toStrictEqual([
      {
        level: "error",
        message: "Error in message handler",
        rest: [{ type: "report", error: "handler broke" }],
      },
    ]);
  });

  test("a heartbeat is not logged", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);
    logger.lines.length = 0;

    await worker.roundTrip();
    await handledSoFar(server, worker);

    expect(logger.lines).toStrictEqual([]);
  });

  test.each([
    ["an id nobody has", "nobody"],
    ["an id that another socket has", "worker-2"],
  ])("a heartbeat for %s is warned about and not answered", async (_case, workerId) => {
    const { server, port, logger } = await startServer();
    await TestWorker.register(port, { workerId: "worker-2" });
    const worker = await TestWorker.register(port);
    logger.lines.length = 0;

    worker.send({ type: "heartbeat", workerId, timestamp: "t" });
    await until(() => logger.lines.length > 0, "the heartbeat is warned about");
    await handledSoFar(server, worker);

    expect(logger.lines).toStrictEqual([
      { level: "warn", message: "Heartbeat from unknown worker", rest: [{ workerId }] },
    ]);
    expect(worker.unread).toBe(0);
  });
});

describe("the logger", () => {
  test("has its methods called on itself", async () => {
    class CountingLogger implements WorkerServerLogger {
      #lines = 0;
      get lines(): number {
        return this.#lines;
      }
      // A private field throws if `this` is not the logger.
      debug = this.info;
      info(): void {
        this.#lines += 1;
      }
      warn(): void {
        this.#lines += 1;
      }
      error(): void {
        this.#lines += 1;
      }
    }
    const logger = new CountingLogger();
    const { server, port } = await startServer({ logger });

    const worker = await TestWorker.register(port);
    worker.send({ type: "mystery" });
    await handledSoFar(server, worker);

    // started, new connection, registered, unhandled
    expect(logger.lines).toBe(4);
  });

  test("has the method looked up at each call, so that it can be replaced", async () => {
    const { port, logger } = await startServer();
    const replaced: string[] = [];
    logger.debug = (message) => void replaced.push(message);

    await TestWorker.register(port);

    expect(replaced).toStrictEqual(["New WebSocket connection from potential worker", "Worker registered"]);
  });

  test("gets contexts that are plain objects of this realm", async () => {
    const { port, logger } = await startServer();
    await TestWorker.register(port);

    const contexts = logger.lines.flatMap((line) => line.rest);

    expect(contexts).toHaveLength(2);
    for (const context of contexts) {
      expect(Object.getPrototypeOf(context)).toBe(Object.prototype);
    }
  });
});

describe("a logger that throws", () => {
  const broken = (): never => {
    throw new Error("the logger broke");
  };
  const brokenLogger = { debug: broken, info: broken, warn: broken, error: broken };

  test("does not keep a server from starting and stopping", async () => {
    const { server } = createServer({ logger: brokenLogger });

    await expect(server.start()).resolves.toBeUndefined();
    await expect(server.stop()).resolves.toBeUndefined();
  });

  test("does not change the error of a failed start", async () => {
    const { port } = await startServer();
    const { server } = createServer({ port, logger: brokenLogger });

    await expect(server.start()).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  test("keeps no worker from registering, and no handler from running", async () => {
    const { server, port } = await startServer({ logger: brokenLogger });
    const events = recordEvents(server);

    const worker = await TestWorker.register(port);
    await worker.close();
    await until(() => events.disconnected.length > 0, "the disconnected handler runs");

    expect(events.connected).toHaveLength(1);
  });

  test.each([
    ["invalid JSON", "{nope"],
    ["a missing type", "{}"],
    ["an unhandled type", '{"type":"mystery"}'],
    ["an unknown heartbeat", '{"type":"heartbeat","workerId":"nobody"}'],
    ["a throwing handler", '{"type":"broken handler"}'],
  ])("does not harm the worker that sent what was to be logged: %s", async (_case, text) => {
    const { server, port } = await startServer({ logger: brokenLogger });
    server.onWorkerMessage("broken handler", broken);
    const worker = await TestWorker.register(port);

    worker.sendText(text);
    await handledSoFar(server, worker);
    await worker.roundTrip();

    expect(server.getWorkerCount()).toBe(1);
  });

  test("does not keep a wrong token from being refused", async () => {
    const { port } = await startServer({ logger: brokenLogger, authToken: "secret" });
    const worker = await TestWorker.connect(port);

    worker.send(registration({ authToken: "wrong" }));

    expect(await worker.closed).toStrictEqual({ code: 4001, reason: "Authentication failed" });
  });

  test("does not keep a worker from being replaced", async () => {
    const { server, port } = await startServer({ logger: brokenLogger });
    const old = await TestWorker.register(port);
    server.trackRequest("worker-1", "request-1");

    const fresh = await TestWorker.register(port);

    expect((await old.closed).code).toBe(4003);
    expect(server.getWorkerInfo()[0]?.sessionId).toBe(fresh.ack.sessionId);
  });
});
