import { once } from "node:events";
import { connect } from "node:net";
import { WebSocket } from "ws";
import {
  type Answer,
  exchange,
  frame,
  readUntil,
  requestHead,
  upgradeRequest,
} from "./support/raw-connection";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";

afterEach(stopServers);

const NOT_FOUND = '{"error":"Not found"}';

describe("any request target is a worker socket", () => {
  test.each(["/ws", "/", "/worker/of/any/kind", "/ws?token=1&x=%20", "//", "/%00", "/WS/"])(
    "%s",
    async (path) => {
      const { server, port } = await startServer();
      const worker = await TestWorker.connect(port, path);

      worker.send(registration());

      expect(await worker.next()).toMatchObject({ success: true });
      expect(server.getWorkerCount()).toBe(1);
    },
  );

  test("a path of 8 KiB", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.connect(port, `/${"p".repeat(8 * 1024)}`);

    worker.send(registration());

    expect(await worker.next()).toMatchObject({ success: true });
  });
});

describe("the handshake", () => {
  interface Handshake {
    readonly protocol: string;
    readonly headers: Record<string, string | string[] | undefined>;
  }

  async function handshake(
    protocols: string[] = [],
    options: ConstructorParameters<typeof WebSocket>[2] = {},
  ): Promise<Handshake> {
    const { port } = await startServer();
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, protocols, options);
    const [[response]] = await Promise.all([once(socket, "upgrade"), once(socket, "open")]);
    socket.terminate();
    return { protocol: socket.protocol, headers: response.headers };
  }

  test("is answered with the accept key of RFC 6455", async () => {
    const { port } = await startServer();

    const { socket, text } = await readUntil(port, upgradeRequest(), "\r\n\r\n");
    socket.destroy();

    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(text.toLowerCase()).toContain("\r\nupgrade: websocket\r\n");
    expect(text.toLowerCase()).toContain("\r\nconnection: upgrade\r\n");
    expect(text).toMatch(/\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
  });

  test("selects the first subprotocol offered", async () => {
    const { protocol } = await handshake(["second-choice", "first-choice"]);

    expect(protocol).toBe("second-choice");
  });

  test("selects no subprotocol if none is offered", async () => {
    const { headers } = await handshake();

    expect(headers).not.toHaveProperty("sec-websocket-protocol");
  });

  test("declines compression", async () => {
    const { headers } = await handshake([], { perMessageDeflate: true });

    expect(headers).not.toHaveProperty("sec-websocket-extensions");
  });

  test.each([13, 8])("accepts protocol version %i", async (protocolVersion) => {
    const { headers } = await handshake([], { protocolVersion });

    expect(headers).toHaveProperty("sec-websocket-accept");
  });

  test.each([
    ["Upgrade: WebSocket", { Upgrade: "WebSocket" }],
    ["Connection: keep-alive, upgrade", { Connection: "keep-alive, upgrade" }],
  ])("reads header values as the RFC does: %s", async (_case, headers) => {
    const { port } = await startServer();

    const { socket, text } = await readUntil(port, upgradeRequest(headers), "\r\n\r\n");
    socket.destroy();

    expect(text).toMatch(/^HTTP\/1\.1 101 /);
  });

  test("serves a registration that came in one packet with the request", async () => {
    const { server, port } = await startServer();
    const request = Buffer.concat([
      Buffer.from(upgradeRequest()),
      frame("text", JSON.stringify(registration())),
    ]);

    const { socket, text } = await readUntil(port, request, '"heartbeatIntervalMs"');

    expect(text).toContain('{"type":"worker_registration_ack","success":true,');
    expect(server.getWorkerCount()).toBe(1);
    socket.destroy();
  });

  test("serves a request that comes byte by byte", async () => {
    const { port } = await startServer();
    const socket = connect(port, "127.0.0.1").setNoDelay().setEncoding("latin1");

    for (const byte of upgradeRequest()) {
      await new Promise((written) => socket.write(byte, written));
    }
    const [answer] = await once(socket, "data");
    socket.destroy();

    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
  });
});

describe("a malformed upgrade", () => {
  const key = "Missing or invalid Sec-WebSocket-Key header";
  const version = "Missing or invalid Sec-WebSocket-Version header";
  const protocol = "Invalid Sec-WebSocket-Protocol header";
  const upgrade = "Invalid Upgrade header";
  const refusals: [string, string, number, string][] = [
    ["POST", upgradeRequest({}, "POST /ws HTTP/1.1"), 405, "Invalid HTTP method"],
    ["an upgrade to h2c", upgradeRequest({ Upgrade: "h2c" }), 400, upgrade],
    ["a list of upgrades", upgradeRequest({ Upgrade: "websocket, h2c" }), 400, upgrade],
    ["no key", upgradeRequest({ "Sec-WebSocket-Key": undefined }), 400, key],
    ["a key that is too short", upgradeRequest({ "Sec-WebSocket-Key": "abc=" }), 400, key],
    ["a key that is no base64", upgradeRequest({ "Sec-WebSocket-Key": "!".repeat(24) }), 400, key],
    ["no version", upgradeRequest({ "Sec-WebSocket-Version": undefined }), 400, version],
    ["version 12", upgradeRequest({ "Sec-WebSocket-Version": "12" }), 400, version],
    ["version x", upgradeRequest({ "Sec-WebSocket-Version": "x" }), 400, version],
    ["an empty protocol", upgradeRequest({ "Sec-WebSocket-Protocol": "" }), 400, protocol],
    ["a protocol twice", upgradeRequest({ "Sec-WebSocket-Protocol": "a, a" }), 400, protocol],
    ["a protocol with a space", upgradeRequest({ "Sec-WebSocket-Protocol": "a b" }), 400, protocol],
  ];

  test.each(refusals)("with %s is refused and closed", async (_case, request, status, reason) => {
    const { port } = await startServer();

    const answer = await exchange(port, request);

    expect(answer).toMatchObject({ status, body: reason });
    expect(answer.headers).toMatchObject({
      connection: "close",
      "content-type": "text/html",
      "content-length": String(reason.length),
    });
  });

  test("of an unknown version is told the known ones", async () => {
    const { port } = await startServer();

    const { headers } = await exchange(port, upgradeRequest({ "Sec-WebSocket-Version": "12" }));

    expect(headers["sec-websocket-version"]).toBe("13, 8");
  });

  test("is no connection of a worker: nothing is logged and the others stay", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);
    logger.lines.length = 0;

    await exchange(port, upgradeRequest({ "Sec-WebSocket-Key": undefined }));
    await worker.roundTrip();

    expect(logger.lines).toStrictEqual([]);
    expect(server.getWorkerCount()).toBe(1);
  });
});

describe("a plain HTTP request without handlers", () => {
  /** The answer to the only request of its connection. */
  async function request(method: string, target = "/status"): Promise<Answer> {
    const { port } = await startServer();
    const headers = { Host: "127.0.0.1", Connection: "close" };
    return exchange(port, requestHead(`${method} ${target} HTTP/1.1`, headers));
  }

  test.each(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])("%s gets 404", async (method) => {
    const answer = await request(method);

    expect(answer.status).toBe(404);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.body).toContain(NOT_FOUND);
  });

  test("HEAD gets the same without a body", async () => {
    const answer = await request("HEAD");

    expect(answer.status).toBe(404);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.body).toBe("");
  });

  test.each(["/", "/ws", "/a?b=c"])("of %s is found nowhere", async (target) => {
    expect((await request("GET", target)).status).toBe(404);
  });

  test("has exactly the body written, whoever reads it", async () => {
    const { port } = await startServer();

    const response = await fetch(`http://127.0.0.1:${port}/status`);

    expect(await response.text()).toBe(NOT_FOUND);
  });

  test("is answered in its turn when several come in one packet", async () => {
    const { port } = await startServer();
    const host = { Host: "127.0.0.1" };
    const get = requestHead("GET / HTTP/1.1", host);
    const last = requestHead("HEAD / HTTP/1.1", { ...host, Connection: "close" });

    const { body } = await exchange(port, get + get + last);

    // The first head is parsed off; the two others follow in what is left.
    expect(body.split("HTTP/1.1 404 Not Found")).toHaveLength(3);
    expect(body.split(NOT_FOUND)).toHaveLength(3);
  });

  test("with an Upgrade header but without Connection: Upgrade is a plain request", async () => {
    const { port } = await startServer();

    const answer = await exchange(port, upgradeRequest({ Connection: "close" }));

    expect(answer).toMatchObject({ status: 404 });
  });

  test("is not logged", async () => {
    const { port, logger } = await startServer();
    logger.lines.length = 0;

    await fetch(`http://127.0.0.1:${port}/status`);
    const worker = await TestWorker.register(port);
    await worker.roundTrip();

    expect(logger.lines.map((line) => line.message)).toStrictEqual([
      "New WebSocket connection from potential worker",
      "Worker registered",
    ]);
  });
});

describe("bytes that are no HTTP", () => {
  test.each([
    ["text", "this is not HTTP\r\n\r\n"],
    ["a request without Host", "GET / HTTP/1.1\r\n\r\n"],
    ["a header without a colon", "GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"],
    ["a TLS hello", Buffer.from("16030100050100000100", "hex")],
  ])("are answered with 400 and the others stay: %s", async (_case, bytes) => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);

    const answer = await exchange(port, bytes);
    await worker.roundTrip();

    expect(answer.status).toBe(400);
  });

  test("a head over 16 KiB is answered with 431", async () => {
    const { port } = await startServer();

    const answer = await exchange(port, upgradeRequest({ Filler: "x".repeat(17 * 1024) }));

    expect(answer.status).toBe(431);
  });
});
