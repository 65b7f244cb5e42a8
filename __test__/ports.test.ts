import { once } from "node:events";
import type { WorkerServerOptions } from "../index.js";
import { freePort, listenErrorOfNode, occupy, portOf, refusalOf, release } from "./support/ports";
import { RecordingLogger, createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

afterEach(stopServers);

/** A port option as a program without type checks could give it. */
function untypedPort(port: unknown): Partial<WorkerServerOptions> {
  return { port } as Partial<WorkerServerOptions>;
}

/** What `promise` is rejected with; fails if it is not. */
async function rejection(promise: Promise<unknown>): Promise<NodeJS.ErrnoException> {
  return promise.then(
    () => Promise.reject(new Error("was not rejected")),
    (error) => error,
  );
}

describe("server.port", () => {
  test("is the configured port before start()", async () => {
    const port = await freePort();

    expect(createServer({ port }).server.port).toBe(port);
    expect(createServer({ port: 0 }).server.port).toBe(0);
  });

  test("is the bound port once start() has resolved", async () => {
    const { server } = createServer({ port: 0 });

    await server.start();

    expect(server.port).toBeGreaterThan(0);
    await TestWorker.register(server.port);
  });

  test("keeps the bound port after stop()", async () => {
    const { server, port } = await startServer();

    await server.stop();

    expect(server.port).toBe(port);
  });

  test("cannot be assigned", () => {
    const { server } = createServer();

    expect(() => Object.assign(server, { port: 1 })).toThrow(TypeError);
  });
});

describe("listening", () => {
  test("uses exactly the configured port", async () => {
    const port = await freePort();
    const { server } = createServer({ port });

    await server.start();

    expect(server.port).toBe(port);
    await TestWorker.register(port);
  });

  test("accepts a port given as a numeric string", async () => {
    const port = await freePort();

    await startServer(untypedPort(String(port)));

    await TestWorker.register(port);
  });

  test.each([undefined, null])("takes any free port when port is %s", async (port) => {
    const { server } = await startServer(untypedPort(port));

    expect(server.port).toBeGreaterThan(0);
    await TestWorker.register(server.port);
  });

  test("gives each of two servers on port 0 a port of its own", async () => {
    const first = await startServer({ port: 0 });
    const second = await startServer({ port: 0 });

    expect(second.port).not.toBe(first.port);
  });
});

describe("a port that is no port", () => {
  test.each([65_536, -1, 1.5, NaN])("%p is accepted by the constructor", (port) => {
    expect(() => createServer({ port })).not.toThrow();
  });

  test.each([65_536, -1, 1.5, NaN])("%p makes start() reject with a RangeError", async (port) => {
    const { server } = createServer({ port });

    const error = await rejection(server.start());

    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe("ERR_SOCKET_BAD_PORT");
  });

  test("may be tried again, and stop() resolves and says so once", async () => {
    const { server, logger } = createServer({ port: 65_536 });
    await rejection(server.start());

    expect((await rejection(server.start())).code).toBe("ERR_SOCKET_BAD_PORT");
    await expect(server.stop()).resolves.toBeUndefined();
    await server.stop();
    expect(logger.of("HTTP + WebSocket server stopped")).toHaveLength(1);
    expect((await rejection(server.start())).code).toBe("ERR_SOCKET_BAD_PORT");
  });
});

describe("a port in use", () => {
  test.each(["by a server on all interfaces", "by another WorkerServer"])(
    "%s makes start() reject with the error of Node itself",
    async (holder) => {
      const port = await portHeld(holder);
      const expected = await listenErrorOfNode(port);
      const { server } = createServer({ port });

      const error = await rejection(server.start());

      expect(error).toBeInstanceOf(Error);
      expect({ ...error, message: error.message }).toStrictEqual({
        ...expected,
        message: expected.message,
      });
      expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen", port });
      expect(error.message).toMatch(/^listen EADDRINUSE: address already in use .*:\d+$/);
    },
  );

  async function portHeld(holder: string): Promise<number> {
    if (holder === "by another WorkerServer") return (await startServer()).port;
    const other = await occupy();
    holders.push(other);
    return portOf(other);
  }

  const holders: Awaited<ReturnType<typeof occupy>>[] = [];
  afterEach(async () => {
    await Promise.all(holders.splice(0).map(release));
  });

  test("on 127.0.0.1 only makes start() reject as well", async () => {
    const other = await occupy(0, "127.0.0.1");
    holders.push(other);
    const { server } = createServer({ port: portOf(other) });

    const error = await rejection(server.start());

    expect(error).toMatchObject({ code: "EADDRINUSE", port: portOf(other) });
  });

  test("is logged once, as an error with the message", async () => {
    const { port } = await startServer();
    const { server, logger } = createServer({ port });

    const error = await rejection(server.start());

    expect(logger.lines).toStrictEqual([
      { level: "error", message: "HTTP server error", rest: [{ error: error.message }] },
    ]);
  });

  test("is logged before the promise is rejected", async () => {
    const { port } = await startServer();
    const logger = new RecordingLogger();
    const { server } = createServer({ port, logger });

    await server.start().catch(() => {
      expect(logger.of("HTTP server error")).toHaveLength(1);
    });

    expect.assertions(1);
  });

  test("may be tried again, and succeeds once the port is free", async () => {
    const { port, server: holder } = await startServer();
    const { server, logger } = createServer({ port });
    expect((await rejection(server.start())).code).toBe("EADDRINUSE");
    expect((await rejection(server.start())).code).toBe("EADDRINUSE");

    await holder.stop();
    await server.start();

    await TestWorker.register(port);
    expect(server.getWorkerCount()).toBe(1);
    expect(logger.of("HTTP + WebSocket server started")).toHaveLength(1);
    await expect(server.start()).rejects.toThrow(new Error("WorkerServer is already running"));
  });

  test("is no running server, but stop() says so all the same", async () => {
    const { port } = await startServer();
    const { server, logger } = createServer({ port });
    await rejection(server.start());

    await expect(server.stop()).resolves.toBeUndefined();

    expect(logger.lines.at(-1)).toStrictEqual({
      level: "debug",
      message: "HTTP + WebSocket server stopped",
      rest: [],
    });
  });

  test("does not disturb the server that has it", async () => {
    const { port, server: holder } = await startServer();
    await TestWorker.register(port);
    const { server } = createServer({ port });

    await rejection(server.start());
    await server.stop();

    await TestWorker.register(port, { workerId: "worker-2" });
    expect(holder.getWorkerCount()).toBe(2);
  });

  test("can be started on once it is free, after stop()", async () => {
    const other = await occupy();
    const port = portOf(other);
    const { server } = createServer({ port });
    await rejection(server.start());
    await server.stop();
    await release(other);

    await server.start();

    await TestWorker.register(port);
  });
});

describe("after stop()", () => {
  test("connections are refused", async () => {
    const { server, port } = await startServer();

    await server.stop();

    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });

  test("another program can listen on the port", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    await Promise.all([server.stop(), once(worker.socket, "close")]);

    const other = await occupy(port);

    expect(portOf(other)).toBe(port);
    await release(other);
  });
});
