import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, get } from "node:http";
import { once } from "node:events";
import { connect } from "node:net";
import { handledSoFar } from "./support/barrier";
import { recordEvents } from "./support/events";
import { freePort, refusalOf } from "./support/ports";
import { createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const ALREADY_RUNNING = new Error("WorkerServer is already running");
const STARTED = "HTTP + WebSocket server started";
const STOPPED = "HTTP + WebSocket server stopped";

/** An open socket that is no worker: `stop()` leaves it alone until its grace is over. */
async function lingeringSocket(port: number): Promise<TestWorker> {
  return TestWorker.connect(port);
}

describe("start()", () => {
  test("resolves to undefined", async () => {
    const { server } = createServer();

    await expect(server.start()).resolves.toBeUndefined();
  });

  test("says once, with the bound port, that the server started", async () => {
    const { logger, port } = await startServer();

    expect(logger.lines).toStrictEqual([{ level: "debug", message: STARTED, rest: [{ port }] }]);
  });

  test("a second call while starting is rejected and the first resolves", async () => {
    const { server } = createServer();

    const first = server.start();

    await expect(server.start()).rejects.toThrow(ALREADY_RUNNING);
    await expect(first).resolves.toBeUndefined();
  });

  test("a second call while running is rejected and the server stays usable", async () => {
    const { server, port } = await startServer();

    await expect(server.start()).rejects.toThrow(ALREADY_RUNNING);

    await TestWorker.register(port);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("a call while stopping is rejected and the stop still completes", async () => {
    const { server, port } = await startServer();
    const lingering = await lingeringSocket(port);
    const stopped = server.stop();

    await expect(server.start()).rejects.toThrow(ALREADY_RUNNING);

    await lingering.terminate();
    await expect(stopped).resolves.toBeUndefined();
  });
});

describe("stop()", () => {
  test("of a server that was never started resolves and logs nothing", async () => {
    const { server, logger } = createServer();

    await expect(server.stop()).resolves.toBeUndefined();

    expect(logger.lines).toStrictEqual([]);
  });

  test.each(["5", -1, NaN, {}])("within %p ms is refused, and stops nothing", async (timeoutMs) => {
    const { server, port } = await startServer();

    await expect(server.stop({ timeoutMs: timeoutMs as number })).rejects.toThrow(
      /^options\.timeoutMs: expected a number >= 0, got /,
    );

    await TestWorker.register(port);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("of a server already stopped resolves and logs nothing more", async () => {
    const { server, logger } = await startServer();
    await server.stop();

    await expect(server.stop()).resolves.toBeUndefined();

    expect(logger.of(STOPPED)).toHaveLength(1);
  });

  test("resolves to undefined and says that the server stopped", async () => {
    const { server, logger } = await startServer();

    await expect(server.stop()).resolves.toBeUndefined();

    expect(logger.lines.at(-1)).toStrictEqual({ level: "debug", message: STOPPED, rest: [] });
  });

  test("empties the pool in the call itself", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port);
    await TestWorker.register(port, { workerId: "worker-2" });
    expect(server.getWorkerCount()).toBe(2);

    const stopped = server.stop();

    expect(server.getWorkerCount()).toBe(0);
    expect(server.getWorkerInfo()).toStrictEqual([]);
    expect(server.getAnyAvailableWorker()).toBeNull();
    expect(server.send("worker-1", { type: "late" })).toBe(false);
    await stopped;
  });

  test('closes every worker with 1001 "Server shutting down"', async () => {
    const { server, port } = await startServer();
    const workers = [
      await TestWorker.register(port),
      await TestWorker.register(port, { workerId: "worker-2" }),
    ];

    await server.stop();

    const expected = { code: 1001, reason: "Server shutting down" };
    expect(await Promise.all(workers.map((worker) => worker.closed))).toStrictEqual([expected, expected]);
  });

  test("delivers what was sent before it", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);

    server.send("worker-1", { type: "last words" });
    await server.stop();

    expect(await worker.nextText()).toBe('{"type":"last words"}');
  });

  test("calls no disconnected handler and logs no disconnect", async () => {
    const { server, port, logger } = await startServer();
    const { disconnected } = recordEvents(server);
    const worker = await TestWorker.register(port);
    server.trackRequest("worker-1", "request-1");

    await server.stop();
    await worker.closed;

    expect(disconnected).toStrictEqual([]);
    expect(logger.of("Worker disconnected")).toStrictEqual([]);
    expect(logger.of("Worker disconnected with pending requests")).toStrictEqual([]);
  });

  test("clears the health timer", async () => {
    const setInterval = jest.spyOn(globalThis, "setInterval");
    const clearInterval = jest.spyOn(globalThis, "clearInterval");
    const { server } = await startServer();
    const timer = setInterval.mock.results[0]?.value;

    const stopped = server.stop();

    expect(clearInterval).toHaveBeenCalledWith(timer);
    await stopped;
    jest.restoreAllMocks();
  });

  test("called twice while stopping, both resolve and each says so", async () => {
    const { server, logger, port } = await startServer();
    await TestWorker.register(port);

    await expect(Promise.all([server.stop(), server.stop()])).resolves.toStrictEqual([undefined, undefined]);

    expect(logger.of(STOPPED)).toHaveLength(2);
  });

  test("drops an idle keep-alive connection at once", async () => {
    const { server, port } = await startServer();
    const agent = new Agent({ keepAlive: true });
    const [response] = await once(get({ port, host: "127.0.0.1", agent }), "response");
    const closed = once(response.socket, "close");
    response.resume();
    await once(response, "end");

    const before = performance.now();
    await server.stop();
    await closed;

    expect(performance.now() - before).toBeLessThan(2_000);
    agent.destroy();
  });

  test("is not held by a worker that never answers the close frame", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    worker.socket.pause();

    await expect(server.stop()).resolves.toBeUndefined();
  }, 15_000);
});

test("stop() is not held for ever by half a request", async () => {
  const { server, port } = await startServer();
  const worker = await TestWorker.register(port);
  const socket = connect(port, "127.0.0.1");
  const closed = once(socket, "close");
  await new Promise((written) => socket.write("GET /ws HTTP/1.1\r\nUpgr", written));
  await worker.roundTrip();

  await expect(server.stop()).resolves.toBeUndefined();

  await closed;
}, 15_000);

describe("stop() while an unregistered socket is open", () => {
  test("closes it as it closes workers, and waits for its answer only", async () => {
    const { server, port } = await startServer();
    const lingering = await lingeringSocket(port);

    await server.stop({ timeoutMs: 60_000 });

    expect(await lingering.closed).toEqual({ code: 1001, reason: "Server shutting down" });
  });

  test("ends it after closeTimeoutMs if it does not answer", async () => {
    const { server, port, logger } = await startServer({ limits: { closeTimeoutMs: 100 } });
    const lingering = await lingeringSocket(port);
    lingering.socket.pause();

    await server.stop({ timeoutMs: 60_000 });

    expect(logger.of("Unregistered WebSocket connection closed").map(({ rest }) => rest)).toEqual([
      [{ code: 1006, reason: "" }],
    ]);
  });

  test("refuses new connections", async () => {
    const { server, port } = await startServer();
    const lingering = await lingeringSocket(port);

    const stopped = server.stop();

    expect(await refusalOf(port)).toBe("ECONNREFUSED");
    await lingering.close();
    await stopped;
  });

  test("does not take its registration any more", async () => {
    const { server, port } = await startServer();
    const lingering = await lingeringSocket(port);

    const stopped = server.stop();
    lingering.send(registration());
    await stopped;

    expect(await lingering.closed).toEqual({ code: 1001, reason: "Server shutting down" });
    expect(server.getWorkerCount()).toBe(0);
  });

  test("drops it when timeoutMs is over", async () => {
    const { server, port } = await startServer();
    const lingering = await lingeringSocket(port);
    lingering.socket.pause();

    await server.stop({ timeoutMs: 0 });

    lingering.socket.resume();
    expect((await lingering.closed).code).toBeGreaterThan(1000);
  });
});

describe("start() and stop() in one tick", () => {
  test("stop resolves and the start promise is rejected", async () => {
    const { server } = createServer();

    const [started, stopped] = await Promise.allSettled([server.start(), server.stop()]);

    expect(stopped).toStrictEqual({ status: "fulfilled", value: undefined });
    expect(started).toStrictEqual({ status: "rejected", reason: expect.any(Error) });
  });

  test("the server can be started afterwards", async () => {
    const { server } = createServer();
    await Promise.allSettled([server.start(), server.stop()]);

    await server.start();

    await TestWorker.register(server.port);
    expect(server.getWorkerCount()).toBe(1);
  });
});

describe("restart", () => {
  test("works on the same object and the same port, many times", async () => {
    const port = await freePort();
    const { server } = createServer({ port });

    for (let round = 1; round <= 5; round++) {
      await server.start();
      const worker = await TestWorker.register(port);
      expect(server.getWorkerCount()).toBe(1);
      await server.stop();
      await worker.closed;
    }

    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });

  test("keeps message, connected and disconnected handlers", async () => {
    const { server } = await startServer();
    const { connected, disconnected } = recordEvents(server);
    const messages: unknown[] = [];
    server.onWorkerMessage("ping", (_worker, message) => messages.push(message));
    await server.stop();

    await server.start();
    const worker = await TestWorker.register(server.port);
    worker.send({ type: "ping", n: 1 });
    await handledSoFar(server, worker);
    await worker.close();
    await until(() => disconnected.length > 0, "the disconnected handler runs");

    expect(connected).toHaveLength(1);
    expect(messages).toStrictEqual([{ type: "ping", n: 1 }]);
    expect(disconnected).toHaveLength(1);
  });

  test("starts with an empty pool", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port);
    await server.stop();

    await server.start();

    expect(server.getWorkerCount()).toBe(0);
    const again = await TestWorker.register(server.port);
    expect(again.ack.success).toBe(true);
  });
});

// A path is what Node's listen makes of a port that is no number.
describe("a server on a path", () => {
  test("stops, however soon, leaves the path free, and keeps nobody else from running", async () => {
    const folder = mkdtempSync(join(tmpdir(), "worker-server-"));
    const path = join(folder, "socket");
    try {
      for (let round = 0; round < 10; round++) {
        const { server } = createServer({ port: path as never });
        await server.start();
        await expect(server.stop()).resolves.toBeUndefined();
        expect(existsSync(path)).toBe(false);
      }
      const { port } = await startServer();
      await TestWorker.register(port);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
