import { EventEmitter, once } from "node:events";
import { WebSocket } from "ws";
import type { ConnectedWorker, WorkerPool, WorkerServer } from "../index.js";
import { frame, writeRaw } from "./support/raw-connection";
import { type RecordingLogger, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

/* The `websocket` of a worker in the server's pool, whose connection is native: every method and event of a socket of `ws`. */

afterEach(stopServers);

interface Pair {
  readonly server: WorkerServer;
  readonly logger: RecordingLogger;
  readonly peer: TestWorker;
  readonly worker: ConnectedWorker;
  readonly socket: WebSocket;
}

async function pair({ protocols = [] as string[], limits = {} } = {}): Promise<Pair> {
  const { server, port, logger } = await startServer({ limits });
  const peer = await TestWorker.register(port, {}, protocols);
  const worker = (server as unknown as { pool: WorkerPool }).pool.get("worker-1")!;
  return { server, logger, peer, worker, socket: worker.websocket };
}

/** The next message that the peer gets, and whether it is binary. */
async function nextAt(peer: TestWorker): Promise<[Buffer, boolean]> {
  return (await once(peer.socket, "message")) as [Buffer, boolean];
}

describe("the socket of a worker", () => {
  test("is one of ws, and the same each time", async () => {
    const { worker, socket } = await pair();

    expect(socket).toBeInstanceOf(WebSocket);
    expect(socket).toBeInstanceOf(EventEmitter);
    expect(worker.websocket).toBe(socket);
    expect(socket).toMatchObject({ readyState: 1, OPEN: 1, extensions: "", binaryType: "nodebuffer" });
    expect(socket).toMatchObject({ isPaused: false, bufferedAmount: 0, protocol: "", onmessage: null });
  });

  test("knows the subprotocol", async () => {
    const { socket } = await pair({ protocols: ["worker.v2", "worker.v1"] });

    expect(socket.protocol).toBe("worker.v2");
  });

  test.each<[string, unknown, Buffer, boolean]>([
    ["text", "grüße", Buffer.from("grüße"), false],
    ["a number", 5, Buffer.from("5"), false],
    ["a Buffer", Buffer.from([0, 255]), Buffer.from([0, 255]), true],
    ["a typed array", new Uint16Array([1, 2]), Buffer.from([1, 0, 2, 0]), true],
    ["a DataView", new DataView(new ArrayBuffer(2), 1), Buffer.from([0]), true],
    ["an ArrayBuffer", new Uint8Array([7]).buffer, Buffer.from([7]), true],
    ["a Blob", new Blob(["blob"]), Buffer.from("blob"), true],
    ["nothing", undefined, Buffer.alloc(0), true],
    ["70,000 bytes", Buffer.alloc(70_000, 1), Buffer.alloc(70_000, 1), true],
  ])("sends %s", async (_what, data, expected, isBinary) => {
    const { socket, peer } = await pair();
    const next = nextAt(peer);

    socket.send(data as string);

    expect(await next).toEqual([expected, isBinary]);
  });

  test("sends text as binary and bytes as text when it is told so", async () => {
    const { socket, peer } = await pair();
    const received: [string, boolean][] = [];
    peer.socket.on("message", (data, isBinary) => received.push([String(data), isBinary]));

    socket.send("text", { binary: true });
    socket.send(Buffer.from("bytes"), { binary: false });

    await until(() => received.length === 2, "both have come");
    expect(received).toEqual([
      ["text", true],
      ["bytes", false],
    ]);
  });

  test("sends a message in fragments", async () => {
    const { socket, peer } = await pair();
    const next = nextAt(peer);

    socket.send("one ", { fin: false });
    socket.send("two ", { fin: false });
    socket.send("three");

    expect(await next).toEqual([Buffer.from("one two three"), false]);
  });

  test("keeps the order of what is sent behind a Blob", async () => {
    const { socket, peer } = await pair();
    const received: string[] = [];
    peer.socket.on("message", (data) => received.push(String(data)));

    socket.send(new Blob(["first"]));
    socket.send("second");
    socket.send("third");

    await until(() => received.length === 3, "all have come");
    expect(received).toEqual(["first", "second", "third"]);
  });

  test.each([{}, true, { a: 1 }])("refuses to send %p", async (data) => {
    const { socket } = await pair();

    expect(() => socket.send(data as never)).toThrow("must be of type string");
  });

  test("calls back when it has sent, and with an error when it cannot", async () => {
    const { socket } = await pair();
    const errors: unknown[] = [];
    for (const send of [
      (done: (error?: Error) => void) => socket.send("x", done),
      (done: (error?: Error) => void) => socket.send("x", {}, done),
      (done: (error?: Error) => void) => socket.ping("x", false, done),
      (done: (error?: Error) => void) => {
        socket.close();
        socket.send("x", done);
      },
      (done: (error?: Error) => void) => socket.pong("x", undefined, done),
    ]) {
      errors.push(await new Promise((done) => send(done)));
    }

    expect(errors.map((error) => (error as Error | undefined)?.message)).toEqual([
      undefined,
      undefined,
      undefined,
      "WebSocket is not open: readyState 2 (CLOSING)",
      "WebSocket is not open: readyState 2 (CLOSING)",
    ]);
  });

  test("says how much its peer has not taken", async () => {
    const { socket, peer } = await pair();
    peer.socket.pause();

    for (let n = 0; n < 64; n++) socket.send("x".repeat(200_000));

    await until(() => socket.bufferedAmount > 0, "the system takes no more");
    peer.socket.resume();
    await until(() => socket.bufferedAmount === 0, "the peer has taken all");
  });

  test("tells by its callback that its peer does not read", async () => {
    const { socket, peer } = await pair({ limits: { maxOutboxBytes: 1_000_000 } });
    peer.socket.pause();
    const errors: (Error | undefined)[] = [];

    for (let n = 0; n < 80; n++) socket.send("x".repeat(500_000), (error) => errors.push(error));

    await until(() => errors.length === 80, "all callbacks are called");
    expect(errors.at(-1)?.message).toBe("WebSocket takes no more: its peer does not read");
  });
});

describe("its control frames", () => {
  test("ping and pong reach the peer, and the peer's are seen", async () => {
    const { socket, peer } = await pair();
    const bytes = Buffer.from([0, 128, 255]);
    const pong = once(socket, "pong");
    const ping = once(socket, "ping");
    const unasked = once(peer.socket, "pong");

    socket.ping(bytes);
    socket.pong("unasked");
    peer.socket.ping("from the peer");

    expect((await pong)[0]).toEqual(bytes);
    expect(String((await unasked)[0])).toBe("unasked");
    expect(String((await ping)[0])).toBe("from the peer");
  });

  test("are not longer than 125 bytes", async () => {
    const { socket } = await pair();

    expect(() => socket.ping(Buffer.alloc(126))).toThrow(RangeError);
    expect(() => socket.pong("x".repeat(126))).toThrow(RangeError);
  });
});

describe("its messages", () => {
  test("are seen with heartbeats, after the server has handled them", async () => {
    const { server, socket, peer } = await pair();
    const seen: string[] = [];
    server.onWorkerMessage("report", () => seen.push("handler"));
    socket.on("message", (data, isBinary) => seen.push(`${String(data)} ${isBinary}`));

    peer.sendText('{ "type": "report" }');
    peer.socket.send(Buffer.from('{"type":"heartbeat","workerId":"worker-1"}'));
    await peer.next();

    await until(() => seen.length === 3, "all are seen");
    expect(seen).toEqual([
      "handler",
      '{ "type": "report" } false',
      '{"type":"heartbeat","workerId":"worker-1"} true',
    ]);
  });

  test("come to listeners in the manner of the browser, and end with them", async () => {
    const { socket, peer } = await pair();
    const events: unknown[] = [];
    const listener = ({ type, data, target }: any): void => void events.push([type, data, target === socket]);
    socket.addEventListener("message", listener);
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it is what is tested
    socket.onmessage = listener;

    peer.sendText("text");
    await until(() => events.length === 2, "both have it");
    socket.removeEventListener("message", listener);
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- as above
    socket.onmessage = null;
    peer.sendText("more");
    await peer.roundTrip();

    expect(events).toEqual([
      ["message", "text", true],
      ["message", "text", true],
    ]);
  });

  test.each<[string, (data: unknown) => unknown]>([
    ["arraybuffer", (data) => data instanceof ArrayBuffer && Buffer.from(data).toString()],
    ["fragments", (data) => Array.isArray(data) && Buffer.concat(data).toString()],
    ["blob", (data) => data instanceof Blob && "binary"],
    ["nodebuffer", (data) => Buffer.isBuffer(data) && data.toString()],
  ])("in binary are given as %s", async (binaryType, read) => {
    const { socket, peer } = await pair();
    socket.binaryType = binaryType as "nodebuffer";
    const next = once(socket, "message");

    peer.socket.send(Buffer.from("binary"));

    expect(read((await next)[0])).toBe("binary");
  });

  test("wait while it is paused", async () => {
    const { server, socket, peer } = await pair();
    const received: unknown[] = [];
    server.onWorkerMessage("report", (_worker, message) => received.push(message.n));
    socket.pause();
    expect(socket.isPaused).toBe(true);

    peer.send({ type: "report", n: 1 });
    const other = await TestWorker.register(server.port, { workerId: "other" });
    await other.roundTrip("other");
    expect(received).toEqual([]);
    socket.resume();

    await until(() => received.length === 1, "it is read again");
    expect(socket.isPaused).toBe(false);
  });

  test("whose listener throws are logged, and harm nobody", async () => {
    const { socket, peer, logger } = await pair();
    socket.on("message", () => {
      throw new Error("mine");
    });

    peer.sendText("text");
    await peer.roundTrip();

    await until(() => logger.of("Error in WebSocket listener").length > 0, "it is logged");
    expect(logger.of("Error in WebSocket listener")[0]).toMatchObject({
      level: "error",
      rest: [{ error: "mine" }],
    });
  });
});

describe("its end", () => {
  test("by close(code, reason) is told to both sides", async () => {
    const { server, socket, peer } = await pair();
    const closed = once(socket, "close");

    socket.close(4000, "enough");
    expect(socket.readyState).toBe(WebSocket.CLOSING);

    expect(await peer.closed).toEqual({ code: 4000, reason: "enough" });
    const [code, reason] = await closed;
    expect([code, Buffer.isBuffer(reason)]).toEqual([4000, true]);
    expect(socket.readyState).toBe(WebSocket.CLOSED);
    expect(server.getWorkerCount()).toBe(0);
  });

  test("by close() has no code", async () => {
    const { socket, peer } = await pair();

    socket.close();

    expect(await peer.closed).toEqual({ code: 1005, reason: "" });
  });

  test.each([
    [1005, "", TypeError],
    [999, "", TypeError],
    ["1000", "", TypeError],
    [1000, "r".repeat(124), RangeError],
  ])("is refused with %p and %p", async (code, reason, error) => {
    const { socket } = await pair();

    expect(() => socket.close(code as number, reason)).toThrow(error);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  test("by terminate() is at once", async () => {
    const { socket, peer } = await pair();
    const closed = once(socket, "close");

    socket.terminate();
    expect(socket.readyState).toBe(WebSocket.CLOSING);

    expect((await peer.closed).code).toBe(1006);
    expect((await closed)[0]).toBe(1006);
  });

  test("by the peer is told as an event, too", async () => {
    const { socket, peer } = await pair();
    const event = new Promise<any>((resolve) => socket.addEventListener("close", resolve));

    peer.socket.close(4001, "bye");

    expect(await event).toMatchObject({ type: "close", code: 4001, reason: "bye", wasClean: true });
  });

  test("by a bad frame is an error and a close", async () => {
    const { socket, peer } = await pair();
    const error = once(socket, "error");
    const closed = new Promise((resolve) => socket.once("close", resolve));

    writeRaw(peer, frame("text", "x", { masked: false }));

    expect((await error)[0].message).toBe("Invalid WebSocket frame: MASK must be set");
    expect(await closed).toBe(1006);
  });

  test("by a bad frame without a listener ends nothing else", async () => {
    const { server, socket, peer } = await pair();
    expect(socket.listenerCount("error")).toBe(0);

    writeRaw(peer, frame("text", "x", { masked: false }));
    await peer.closed;

    await TestWorker.register(server.port, { workerId: "other" });
  });

  test("by a new connection is told", async () => {
    const { server, socket } = await pair();
    const closed = once(socket, "close");

    await TestWorker.register(server.port);

    expect((await closed)[0]).toBe(4003);
    expect(socket.readyState).toBe(WebSocket.CLOSED);
  });

  test("by stop() is told after the call", async () => {
    const { server, socket } = await pair();
    const codes: number[] = [];
    socket.on("close", (code) => codes.push(code));

    const stopped = server.stop();
    expect(codes).toEqual([]);
    await stopped;

    expect(codes).toEqual([1001]);
  });

  test("makes every method harmless", async () => {
    const { socket, peer } = await pair();
    const closed = once(socket, "close");
    peer.socket.close();
    await closed;

    socket.send("x");
    socket.ping();
    socket.pong();
    socket.pause();
    socket.resume();
    socket.close();
    socket.terminate();

    expect(socket).toMatchObject({ readyState: 3, bufferedAmount: 0, isPaused: false });
  });
});
