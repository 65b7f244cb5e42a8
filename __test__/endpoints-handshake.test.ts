import { once } from "node:events";
import { createServer } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";
import { connectTo, dropClients } from "./support/endpoints";
import { RawClient, listenWith, mount, request, stopAll, transcript } from "./support/http";
import { frame, upgradeRequest } from "./support/raw-connection";
import { startServer } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

afterEach(async () => {
  dropClients();
  await stopAll();
});

const LINE = "GET /live HTTP/1.1";

/** A server whose endpoint /live echoes; returns its sockets too. */
async function echoing(): Promise<{ port: number; sockets: WebSocket[] }> {
  const { server, port } = await startServer();
  const sockets: WebSocket[] = [];
  server.addWebSocketEndpoint("/live", (socket) => {
    sockets.push(socket);
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  });
  return { port, sockets };
}

describe("frames that come with the handshake are delivered", () => {
  test.each([1, 2, 500])("%i of them", async (count) => {
    const { port } = await echoing();
    const client = await RawClient.open(port);
    const frames = Array.from({ length: count }, () => frame("text", "early"));

    client.write(Buffer.concat([Buffer.from(upgradeRequest({}, LINE)), ...frames]));

    await client.received("early", count);
  });

  test("half a frame, with its other half later", async () => {
    const { port } = await echoing();
    const client = await RawClient.open(port);
    const message = frame("text", "in two halves");

    client.write(Buffer.concat([Buffer.from(upgradeRequest({}, LINE)), message.subarray(0, 9)]));
    await client.received("\r\n\r\n");
    client.write(message.subarray(9));

    await client.received("in two halves");
  });

  test("to a handler that listens a turn later, if it pauses the socket until then", async () => {
    const { server, port } = await startServer();
    server.addWebSocketEndpoint("/live", (socket) => {
      socket.pause();
      setImmediate(() => {
        socket.on("message", (data, binary) => socket.send(data, { binary }));
        socket.resume();
      });
    });
    const client = await RawClient.open(port);

    client.write(Buffer.concat([Buffer.from(upgradeRequest({}, LINE)), frame("text", "early")]));

    await client.received("early");
  });
});

describe("the handshake with an endpoint", () => {
  test("may come byte by byte", async () => {
    const { port } = await echoing();
    const client = await RawClient.open(port);
    client.socket.setNoDelay();

    for (const byte of upgradeRequest({}, LINE)) {
      await new Promise((written) => client.socket.write(byte, written));
    }

    await client.received("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  test("needs no Host, as with ws", async () => {
    const { port } = await echoing();
    const client = await RawClient.open(port);

    client.write(upgradeRequest({ Host: undefined }, LINE));

    await client.received("101 Switching Protocols");
  });

  test("may follow a request on the same connection", async () => {
    const { port } = await echoing();
    const client = await RawClient.open(port);
    client.get();
    await client.received('{"error":"Not found"}');

    client.write(upgradeRequest({}, LINE));

    await client.received("101 Switching Protocols");
  });

  test("chooses the first subprotocol offered", async () => {
    const { port, sockets } = await echoing();

    const client = await connectTo(port, "/live", ["b", "a"]);

    expect(client.protocol).toBe("b");
    expect(sockets[0]?.protocol).toBe("b");
  });

  test("shows no headers to the handlers of HTTP", async () => {
    const { server, port } = await startServer();
    const handler = jest.fn();
    server.addHttpHandler(handler);
    server.addWebSocketEndpoint("/live", () => {});

    await connectTo(port);

    expect(handler).not.toHaveBeenCalled();
  });

  test("leaves plain requests of the same target to the handlers of HTTP", async () => {
    const { server, port } = await startServer();
    mount(server, (_req, res) => res.end("plain"));
    server.addWebSocketEndpoint("/live", () => {});

    expect((await request(port, { path: "/live" })).body).toBe("plain");
  });
});

/** Upgrade requests, of which the answer is compared byte by byte with that of ws over node:http. */
const refused: [string, string][] = [
  ["POST", upgradeRequest({}, "POST /live HTTP/1.1")],
  ["HEAD", upgradeRequest({}, "HEAD /live HTTP/1.1")],
  [
    "h2c, as of curl --http2",
    upgradeRequest({ Upgrade: "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA" }, LINE),
  ],
  ["a list of upgrades", upgradeRequest({ Upgrade: "websocket, h2c" }, LINE)],
  ["no key", upgradeRequest({ "Sec-WebSocket-Key": undefined }, LINE)],
  ["a key that is too short", upgradeRequest({ "Sec-WebSocket-Key": "abc=" }, LINE)],
  ["a key that is no base64", upgradeRequest({ "Sec-WebSocket-Key": "!".repeat(24) }, LINE)],
  ["no version", upgradeRequest({ "Sec-WebSocket-Version": undefined }, LINE)],
  ["version 12", upgradeRequest({ "Sec-WebSocket-Version": "12" }, LINE)],
  ["an empty protocol", upgradeRequest({ "Sec-WebSocket-Protocol": "" }, LINE)],
  ["a protocol twice", upgradeRequest({ "Sec-WebSocket-Protocol": "a, a" }, LINE)],
  ["a protocol with a space", upgradeRequest({ "Sec-WebSocket-Protocol": "a b" }, LINE)],
];

describe("an upgrade that is refused gets the answer of ws", () => {
  /** The answer of ws itself, on a server of Node's. */
  async function answerOfWs(text: string): Promise<string> {
    const endpoints = new WebSocketServer({ noServer: true });
    const server = createServer((_req, res) => res.end());
    server.on("upgrade", (req, socket, head) => endpoints.handleUpgrade(req, socket, head, () => {}));
    return transcript(await listenWith(server), [text]);
  }

  test.each(refused)("%s", async (_case, text) => {
    const { port } = await echoing();

    const answer = await transcript(port, [text]);

    expect(answer).toMatch(/^HTTP\/1\.1 40[05] /);
    expect(answer).toBe(await answerOfWs(text));
  });

  test.each(refused)("also where there is no endpoint: %s", async (_case, text) => {
    const { port } = await echoing();

    expect(await transcript(port, [text.replace("/live", "/ws")])).toBe(await answerOfWs(text));
  });

  test("and never comes to the endpoint or the handlers of HTTP", async () => {
    const { server, port } = await startServer();
    const handler = jest.fn();
    server.addHttpHandler(handler);
    server.addWebSocketEndpoint("/live", handler);

    for (const [, text] of refused) await transcript(port, [text]);

    expect(handler).not.toHaveBeenCalled();
  });

  test("and leaves workers and other endpoints alone", async () => {
    const { port, sockets } = await echoing();
    const worker = await TestWorker.register(port);
    const client = await connectTo(port);

    for (const [, text] of refused) await transcript(port, [text]);

    await worker.roundTrip();
    client.send("still here");
    expect((await once(client, "message"))[0].toString()).toBe("still here");
    expect(sockets).toHaveLength(1);
  });

  test("Connection: Upgrade without an Upgrade header is a plain request", async () => {
    const { server, port } = await startServer();
    mount(server, (_req, res) => res.end("plain"));

    const reply = await request(port, { headers: { Connection: "Upgrade" } });

    expect(reply.body).toBe("plain");
  });
});

describe("an upgrade that ws takes, on no endpoint, is no worker", () => {
  /** A body has no place in a handshake. */
  const odd = upgradeRequest({ "Content-Length": "4" });
  const refusal = /^HTTP\/1\.1 400 Bad Request\r\n/;

  test("but refused with 400 if it is odd", async () => {
    const { port } = await startServer();

    expect(await transcript(port, [odd])).toMatch(refusal);
  });

  test("but refused with 400 on a connection that HTTP has used", async () => {
    const { server, port } = await startServer();
    mount(server, (_req, res) => res.end("plain"));
    const client = await RawClient.open(port);
    client.get("/");
    await client.received("plain");

    client.write(upgradeRequest());
    await client.closed;

    expect(client.text.slice(client.text.indexOf("plain") + 5)).toMatch(/^\s*(?:0\s+)?HTTP\/1\.1 400 /);
  });

  test("nor is what follows it, which harms nobody", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const client = await RawClient.open(port);

    client.write(`${odd}body`);
    await client.closed;

    await worker.roundTrip();
    expect(server.getWorkerCount()).toBe(1);
  });
});
