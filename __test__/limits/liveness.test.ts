import { once } from "node:events";
import { WebSocket } from "ws";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker, registration } from "../support/test-worker";
import { until } from "../support/until";

const sockets: WebSocket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await stopServers();
});

interface Client {
  readonly socket: WebSocket;
  /** Moments at which pings came. */
  readonly pings: number[];
  readonly closed: Promise<number>;
}

/** A client that is silent, and perhaps does not even answer pings. */
async function connect(port: number, autoPong: boolean): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { autoPong });
  sockets.push(socket);
  const pings: number[] = [];
  socket.on("ping", () => pings.push(performance.now())).on("error", () => {});
  const closed = new Promise<number>((resolve) => socket.once("close", (code) => resolve(code)));
  await once(socket, "open");
  return { socket, pings, closed };
}

describe("pingIntervalMs", () => {
  // So long that a client that is held up for a moment still answers in time.
  const limits = { pingIntervalMs: 400, registrationTimeoutMs: Infinity };

  test("pings a silent connection twice, and drops it", async () => {
    const { server, port, logger } = await startServer({ limits });
    const start = performance.now();
    const { pings, closed } = await connect(port, false);

    expect(await closed).toBe(1006);

    expect(pings).toHaveLength(2);
    expect(pings[0]! - start).toBeGreaterThan(300);
    expect(performance.now() - start).toBeGreaterThan(1_000);
    expect(server.stats()).toMatchObject({ pingTimeouts: 1, connections: 0 });
    await until(() => logger.of("Unregistered WebSocket connection closed").length > 0, "the end is logged");
    expect(logger.of("Worker WebSocket error").map(({ rest }) => rest)).toEqual([
      [{ error: "The peer does not answer pings" }],
    ]);
  });

  test("keeps a silent connection that answers", async () => {
    const { server, port } = await startServer({ limits });
    const silent = await connect(port, true);

    await until(() => silent.pings.length >= 6, "it is pinged again and again");

    expect(server.stats()).toMatchObject({ pingTimeouts: 0, connections: 1 });
  });

  test("does not ping who says something by itself", async () => {
    const { port } = await startServer({ limits });
    const talking = await connect(port, false);
    const beats = setInterval(() => talking.socket.send(JSON.stringify({ type: "heartbeat" })), 20);
    const silent = await connect(port, true);

    await until(() => silent.pings.length >= 5, "another is pinged");
    clearInterval(beats);

    expect(talking.pings).toEqual([]);
  });

  test("leaves a registered worker to the health check", async () => {
    const { server, port, logger } = await startServer({
      limits: { pingIntervalMs: 50 },
      heartbeatTimeoutMs: 300,
      healthCheckIntervalMs: 100,
    });
    const worker = await connect(port, false);
    worker.socket.send(JSON.stringify(registration()));
    const start = performance.now();

    expect(await worker.closed).toBe(4003);

    expect(performance.now() - start).toBeGreaterThan(850);
    expect(worker.pings.length).toBeGreaterThan(5);
    expect(server.stats().pingTimeouts).toBe(0);
    expect(logger.of("Worker connection presumed dead, closing").length).toBeGreaterThan(0);
  });

  test("is lifted by Infinity", async () => {
    const { port } = await startServer({ limits: { pingIntervalMs: Infinity, registrationTimeoutMs: 700 } });
    const { pings, closed } = await connect(port, false);

    expect(await closed).toBe(1008);

    expect(pings).toEqual([]);
  });
});

describe("closeTimeoutMs", () => {
  test("is how long a peer may take for its half of the closing handshake", async () => {
    const { server, port } = await startServer({
      limits: { closeTimeoutMs: 300, registrationTimeoutMs: 100 },
    });
    const peer = await TestWorker.connect(port);
    peer.socket.pause();
    await until(() => server.stats().registrationTimeouts === 1, "it is told to close");
    const start = performance.now();

    await until(() => server.stats().connections === 0, "it is dropped");

    expect(performance.now() - start).toBeGreaterThan(200);
    expect(server.stats().closeTimeouts).toBe(1);
  });

  test("is nothing to who answers in time", async () => {
    const { server, port } = await startServer({ limits: { registrationTimeoutMs: 100 } });
    const peer = await TestWorker.connect(port);

    expect((await peer.closed).code).toBe(1008);

    await until(() => server.stats().connections === 0, "the connection is gone");
    expect(server.stats().closeTimeouts).toBe(0);
  });
});
