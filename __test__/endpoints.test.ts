import { EventEmitter, once } from "node:events";
import { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { WebSocket, createWebSocketStream } from "ws";
import { openEndpoint, connectTo, closeOf, dropClients } from "./support/endpoints";
import { request, stopAll } from "./support/http";
import { until } from "./support/until";

afterEach(async () => {
  dropClients();
  await stopAll();
});

describe("the socket of an endpoint", () => {
  test("is one of the ws package", async () => {
    const { socket } = await openEndpoint();

    expect(socket).toBeInstanceOf(WebSocket);
    expect(socket).toBeInstanceOf(EventEmitter);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    expect(socket).toMatchObject({ protocol: "", extensions: "", binaryType: "nodebuffer", isPaused: false });
  });

  test("comes with Node's request", async () => {
    const { calls } = await openEndpoint();

    const [, opening, ...rest] = calls[0]!;
    expect(rest).toEqual([]);
    expect(opening).toBeInstanceOf(IncomingMessage);
    expect(opening).toMatchObject({ method: "GET", url: "/live", headers: { upgrade: "websocket" } });
  });

  test("knows where its peer is", async () => {
    const { socket } = await openEndpoint();

    expect((socket as any)._socket.remoteAddress).toBe("::ffff:127.0.0.1");
    expect((socket as any)._socket.remotePort).toBeGreaterThan(0);
  });

  test.each<[string, string | Buffer, boolean]>([
    ["text", "grüße", false],
    ["binary data", Buffer.from([0, 255, 1]), true],
    ["an empty text", "", false],
    ["1 MiB", "x".repeat(1024 * 1024), false],
    ["16 MiB", Buffer.alloc(16 * 1024 * 1024, 7), true],
  ])("passes on %s both ways", async (_what, data, binary) => {
    const { socket, client } = await openEndpoint();
    socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));

    client.send(data);
    const [answer, isBinary] = await once(client, "message");

    expect(Buffer.compare(answer, Buffer.from(data))).toBe(0);
    expect(isBinary).toBe(binary);
  });

  test("passes on many messages in order", async () => {
    const { socket, client } = await openEndpoint();
    const received: string[] = [];
    const all = new Promise<void>((done) => {
      socket.on("message", (message: Buffer) => {
        received.push(message.toString());
        if (received.length === 1_000) done();
      });
    });

    const sent = Array.from({ length: 1_000 }, (_, index) => String(index));
    for (const message of sent) client.send(message);
    await all;

    expect(received).toEqual(sent);
  });

  test("calls back when a message was sent", async () => {
    const { socket } = await openEndpoint();

    const error = await new Promise((sent) => socket.send("x", sent));

    expect(error ?? undefined).toBeUndefined();
  });

  test("can be used as a stream, both ways", async () => {
    const { socket, client } = await openEndpoint();
    const serverStream = createWebSocketStream(socket);
    const clientStream = createWebSocketStream(client, { encoding: "utf8" });
    serverStream.pipe(serverStream);

    clientStream.end("x".repeat(200_000));

    expect(await text(clientStream)).toHaveLength(200_000);
  });

  test("has listeners in the manner of the browser", async () => {
    const { socket, client } = await openEndpoint();
    const event = new Promise<any>((resolve) => socket.addEventListener("message", resolve, { once: true }));

    client.send("text");

    expect(await event).toMatchObject({ type: "message", data: "text", target: socket });
  });

  test("answers pings, and sees them", async () => {
    const { socket, client } = await openEndpoint();
    const seen = once(socket, "ping");

    client.ping("are you there");
    const [pong] = await once(client, "pong");

    expect(pong.toString()).toBe("are you there");
    expect((await seen)[0].toString()).toBe("are you there");
  });

  test("can ping", async () => {
    const { socket } = await openEndpoint();

    socket.ping("hello");

    expect((await once(socket, "pong"))[0].toString()).toBe("hello");
  });

  test("gets nothing while it is paused, and all of it when it goes on", async () => {
    const { socket, client } = await openEndpoint();
    const received: string[] = [];
    socket.on("message", (message: Buffer) => received.push(message.toString()));
    socket.pause();

    client.send("one");
    client.send("two");
    await new Promise((sent) => client.send("three", sent));
    expect(received).toEqual([]);
    socket.resume();
    await once(socket, "message");
    client.close();
    await once(socket, "close");

    expect(received).toEqual(["one", "two", "three"]);
  });

  test("holds back a peer that sends more than is taken", async () => {
    const { port, socket, client } = await openEndpoint();
    const received: unknown[] = [];
    socket.on("message", (message) => received.push(message));
    socket.pause();
    for (let sent = 0; sent < 64; sent++) client.send(Buffer.alloc(1024 * 1024));
    await until(() => client.bufferedAmount > 0, "the system takes no more");
    for (let turn = 0; turn < 20; turn++) await request(port);
    expect(client.bufferedAmount).toBeGreaterThan(32 * 1024 * 1024);

    socket.resume();
    await until(() => received.length === 64, "all of it is received");
  });
});

describe("an endpoint is closed", () => {
  test.each([
    [1000, "done"],
    [1001, ""],
    [3000, "library"],
    [4999, "grüße"],
  ])("by the server with %i %p", async (code, reason) => {
    const { socket, client } = await openEndpoint();

    socket.close(code, reason);

    expect(await closeOf(client)).toEqual({ code, reason });
  });

  test.each([
    [1000, "done"],
    [4000, "why not"],
  ])("by the client with %i %p", async (code, reason) => {
    const { socket, client } = await openEndpoint();

    client.close(code, reason);

    expect(await closeOf(socket)).toEqual({ code, reason });
  });

  test("without a code: 1005 on both sides", async () => {
    const { socket, client } = await openEndpoint();
    const closes = Promise.all([closeOf(socket), closeOf(client)]);

    socket.close();

    expect(await closes).toEqual([
      { code: 1005, reason: "" },
      { code: 1005, reason: "" },
    ]);
  });

  test("by termination: 1006 on both sides", async () => {
    const { socket, client } = await openEndpoint();
    const closes = Promise.all([closeOf(socket), closeOf(client)]);

    socket.terminate();

    expect((await closes).map(({ code }) => code)).toEqual([1006, 1006]);
  });

  test("by a client that vanishes: 1006", async () => {
    const { socket, client } = await openEndpoint();
    const closed = closeOf(socket);

    client.terminate();

    expect((await closed).code).toBe(1006);
  });

  test("with what was sent before the close delivered", async () => {
    const { socket, client } = await openEndpoint();
    const message = once(client, "message");

    socket.send("last words");
    socket.close();

    expect((await message)[0].toString()).toBe("last words");
  });

  test("and sending to it then is no fault", async () => {
    const { socket, client } = await openEndpoint();
    client.close();
    await closeOf(socket);

    const error = await new Promise<Error | undefined>((sent) => socket.send("x", sent));

    expect(error?.message).toBe("WebSocket is not open: readyState 3 (CLOSED)");
  });
});

describe("an endpoint's target", () => {
  test.each(["/LIVE", "/live/", "/", "//live"])("%s is not /live: a worker's socket", async (path) => {
    const { server, port, calls } = await openEndpoint();

    const client = await connectTo(port, path);
    client.send('{"type":"nobody listens"}');
    client.close();
    await closeOf(client);

    expect(calls).toHaveLength(1);
    expect(server.getWorkerCount()).toBe(0);
  });

  test.each(["/live?token=1", "/live?a=/live&b=?"])("may have a query: %s", async (path) => {
    const { server, port } = await openEndpoint();
    const opened = new Promise<IncomingMessage>((resolve) => {
      server.addWebSocketEndpoint("/live", (_socket, opening) => resolve(opening));
    });

    await connectTo(port, path);

    expect((await opened).url).toBe(path);
  });

  test("matches exactly before it matches without its query", async () => {
    const { server, port, calls } = await openEndpoint();
    const room = jest.fn();
    server.addWebSocketEndpoint("/live?room=1", room);

    await connectTo(port, "/live?room=1");
    await connectTo(port, "/live?room=2");

    await until(() => room.mock.calls.length === 1 && calls.length === 2, "each has its handler");
  });

  test("of one endpoint is none of another", async () => {
    const { server, port, calls } = await openEndpoint();
    const opened = new Promise((resolve) => server.addWebSocketEndpoint("/other", resolve));

    await connectTo(port, "/other");
    await opened;

    expect(calls).toHaveLength(1);
  });

  test("added again has the newer handler, and open sockets stay", async () => {
    const { server, port, socket, client, calls } = await openEndpoint();
    const opened = new Promise((resolve) => server.addWebSocketEndpoint("/live", resolve));

    await connectTo(port, "/live");
    await opened;

    expect(calls).toHaveLength(1);
    socket.send("still here");
    expect((await once(client, "message"))[0].toString()).toBe("still here");
  });
});
