import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import { closeOf, connectTo, dropClients, openEndpoint } from "./support/endpoints";
import { mount, request, stopAll } from "./support/http";
import { frame, writeRaw } from "./support/raw-connection";
import { type RecordingLogger, createServer, startServer } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(async () => {
  dropClients();
  await stopAll();
});

function errorsOf(logger: RecordingLogger): unknown[] {
  return logger.of("WebSocket endpoint error").map(({ level, rest }) => [level, ...rest]);
}

/** Puts bytes on the wire of an open client, past its own framing. */
function sendRaw(client: WebSocket, bytes: Buffer): void {
  writeRaw({ socket: client } as TestWorker, bytes);
}

describe("a bad frame", () => {
  const bad: [string, Buffer, number, string][] = [
    ["without a mask", frame("text", "x", { masked: false }), 1002, "MASK must be set"],
    ["with a reserved bit", frame("text", "x", { reservedBits: 4 }), 1002, "RSV1 must be clear"],
    ["that is no UTF-8", frame("text", Buffer.from([0xff])), 1007, "invalid UTF-8 sequence"],
    ["that is a ping in fragments", frame("ping", "x", { fin: false }), 1002, "FIN must be set"],
    ["that goes on with nothing", frame("continuation", "x"), 1002, "invalid opcode 0"],
  ];

  test.each(bad)("%s ends the connection with its code and is logged", async (_how, bytes, code, text) => {
    const { client, socket, logger } = await openEndpoint();
    const closes = Promise.all([closeOf(client), closeOf(socket)]);

    sendRaw(client, bytes);

    expect((await closes).map((close) => close.code)).toEqual([code, 1006]);
    expect(errorsOf(logger)).toEqual([
      ["error", { path: "/live", error: `Invalid WebSocket frame: ${text}` }],
    ]);
  });

  test("is told to the handler's own listener as well", async () => {
    const { client, socket } = await openEndpoint();
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));

    sendRaw(client, frame("text", "x", { masked: false }));

    expect((await failed).code).toBe("WS_ERR_EXPECTED_MASK");
  });

  test("ends no other connection", async () => {
    const { server, port, client } = await openEndpoint();
    const worker = await TestWorker.register(port);
    const other = await connectTo(port);

    sendRaw(client, frame("text", "x", { masked: false }));
    await closeOf(client);

    await worker.roundTrip();
    other.ping();
    await once(other, "pong");
    expect(server.getWorkerCount()).toBe(1);
  });

  test("of more than 100 MiB is too big: 1009", async () => {
    const { client } = await openEndpoint();

    sendRaw(client, Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x06, 0x40, 0, 1, 0, 0, 0, 0]));

    expect((await closeOf(client)).code).toBe(1009);
  });
});

describe("a handler that throws", () => {
  const onOpen = (): never => {
    throw new Error("boom");
  };

  test("is logged, and its connection ends with 1011", async () => {
    const { client, logger } = await openEndpoint({ onOpen });

    expect((await closeOf(client)).code).toBe(1011);
    expect(errorsOf(logger)).toEqual([["error", { path: "/live", error: "boom" }]]);
  });

  test("serves the next connection all the same", async () => {
    const { port, calls } = await openEndpoint({ onOpen });

    await closeOf(await connectTo(port));

    expect(calls).toHaveLength(2);
  });
});

describe("stop", () => {
  test("closes endpoint sockets with 1001", async () => {
    const { server, socket, client } = await openEndpoint();
    const closes = Promise.all([closeOf(client), closeOf(socket)]);

    await server.stop();

    expect(await closes).toEqual([
      { code: 1001, reason: "Server shutting down" },
      { code: 1001, reason: "Server shutting down" },
    ]);
  });

  test("waits until they are closed", async () => {
    const { server, socket } = await openEndpoint();

    await server.stop({ timeoutMs: 60_000 });

    expect(socket.readyState).toBe(socket.CLOSED);
  });

  test("cuts one whose peer does not answer the close, when its time is up", async () => {
    const { server, socket, client } = await openEndpoint();
    client.pause();
    const closed = closeOf(socket);

    await server.stop({ timeoutMs: 50 });

    expect((await closed).code).toBe(1006);
  });

  test.each(["that has got a close frame", "that the handler closed before"])(
    "cuts one %s and does not answer, after closeTimeoutMs",
    async (which) => {
      const { server, socket, client } = await openEndpoint({ limits: { closeTimeoutMs: 100 } });
      client.pause();
      const closed = closeOf(socket);
      if (which === "that the handler closed before") socket.close(1000);

      await server.stop({ timeoutMs: 60_000 });

      expect((await closed).code).toBe(1006);
    },
  );

  test("delivers what was sent before it", async () => {
    const { server, socket, client } = await openEndpoint();
    const message = once(client, "message");

    socket.send("last words");
    await server.stop();

    expect((await message)[0].toString()).toBe("last words");
  });

  test("closes a socket that was opened before a request in flight ends", async () => {
    const { server, port, client } = await openEndpoint();
    const responses: ServerResponse[] = [];
    mount(server, (_req, res) => responses.push(res));
    const reply = request(port);
    await until(() => responses.length > 0, "the request is in flight");

    const stopped = server.stop({ timeoutMs: 60_000 });
    await closeOf(client);
    responses[0]!.end("done");
    await stopped;

    expect((await reply).body).toBe("done");
  });

  test("forgets the endpoints: after a restart the target is a worker's", async () => {
    const { server } = createServer();
    const handler = jest.fn();
    server.addWebSocketEndpoint("/live", handler);
    await server.start();
    await server.stop();
    await server.start();

    const worker = await TestWorker.connect(server.port, "/live");
    worker.send(registration());

    expect(await worker.next()).toMatchObject({ success: true });
    expect(handler).not.toHaveBeenCalled();
  });

  test("of a server that was not started keeps the endpoints", async () => {
    const { server } = createServer();
    const opened = new Promise<WebSocket>((resolve) => server.addWebSocketEndpoint("/live", resolve));
    await server.stop();
    await server.start();

    await connectTo(server.port);

    expect((await opened).readyState).toBe(1);
  });

  test("leaves handlers of HTTP for the next start", async () => {
    const { server } = await startServer();
    mount(server, (_req, res) => res.end("kept"));
    server.addWebSocketEndpoint("/live", () => {});
    await server.stop();
    await server.start();

    expect((await request(server.port, { path: "/live" })).body).toBe("kept");
  });

  test("takes endpoints that are added after it, for the next start", async () => {
    const { server } = await startServer();
    await server.stop();
    const opened = new Promise<WebSocket>((resolve) => server.addWebSocketEndpoint("/live", resolve));
    await server.start();

    await connectTo(server.port);

    expect((await opened).readyState).toBe(1);
  });

  test("may be called by an endpoint's handler", async () => {
    const { server, port } = await startServer();
    const stopped = new Promise<void>((resolve) => {
      server.addWebSocketEndpoint("/live", () => resolve(server.stop()));
    });

    const client = await connectTo(port);

    expect((await closeOf(client)).code).toBe(1001);
    await stopped;
  });
});

test("an endpoint's sockets are no workers", async () => {
  const { server, client, socket, logger } = await openEndpoint();
  const message = once(socket, "message");

  client.send(JSON.stringify(registration()));
  await message;

  expect(server.getWorkerCount()).toBe(0);
  expect(logger.of("New WebSocket connection from potential worker")).toEqual([]);
});
