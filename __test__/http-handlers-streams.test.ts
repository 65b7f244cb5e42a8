import { once } from "node:events";
import { IncomingMessage, type ServerResponse, request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { RawClient, request, serve, stopAll } from "./support/http";
import { until } from "./support/until";

afterEach(stopAll);

const POST = "POST / HTTP/1.1\r\nHost: x\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n\r\n";

/** A server that keeps request and response of its only request, which a raw client has begun to send. */
async function begun(
  bytes: string,
): Promise<{ client: RawClient; req: IncomingMessage; res: ServerResponse }> {
  const arrived: [IncomingMessage, ServerResponse][] = [];
  const { port } = await serve((...pair) => arrived.push(pair));
  const client = await RawClient.open(port);
  client.write(bytes);
  await until(() => arrived.length > 0, "the request arrives");
  const [req, res] = arrived[0]!;
  return { client, req, res };
}

describe("a body is streamed to the handler", () => {
  test("in the pieces in which it comes", async () => {
    const { client, req } = await begun(POST + CHUNKED);
    const chunks = req.setEncoding("utf8")[Symbol.asyncIterator]();

    client.write("3\r\none\r\n");
    expect((await chunks.next()).value).toBe("one");
    client.write("3\r\ntwo\r\n");
    expect((await chunks.next()).value).toBe("two");
    client.write("0\r\n\r\n");
    expect((await chunks.next()).done).toBe(true);
  });

  test("with its trailers behind it", async () => {
    const { client, req } = await begun(POST + CHUNKED);

    client.write("1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n");
    await once(req.resume(), "end");

    expect(req.trailers).toEqual({ "x-sum": "7" });
    expect(req.rawTrailers).toEqual(["X-Sum", "7"]);
    expect(req.complete).toBe(true);
  });

  test("of 32 MiB without loss", async () => {
    const part = Buffer.alloc(1024 * 1024, "0123456789abcdef");
    let length = 0;
    let intact = true;
    const { port } = await serve(async (req, res) => {
      for await (const chunk of req as AsyncIterable<Buffer>) {
        intact &&= chunk.equals(part.subarray(length % 16, (length % 16) + chunk.length));
        length += chunk.length;
      }
      res.end();
    });

    await request(port, { method: "POST" }, Buffer.concat(Array.from({ length: 32 }, () => part)));

    expect({ length, intact }).toEqual({ length: 32 * part.length, intact: true });
  });

  test("is asked for when the client waits with Expect: 100-continue", async () => {
    const { port } = await serve(async (req, res) => {
      let body = "";
      for await (const chunk of req) body += chunk;
      res.end(body);
    });
    const client = await RawClient.open(port);

    client.write(`${POST}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    await client.received("HTTP/1.1 100 Continue\r\n\r\n");
    client.write("body");

    await client.received("\r\n\r\nbody");
  });

  test("that the handler does not read does not keep it from the next request", async () => {
    const { port } = await serve((req, res) => res.end(req.url));
    const client = await RawClient.open(port);

    client.write(`${POST}Content-Length: 4\r\n\r\nbody`);
    client.get("/next");

    await client.received("\r\n\r\n/next");
  });
});

describe("a body is streamed to the client", () => {
  test("in the pieces in which it is written", async () => {
    const { client, res } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

    res.write("one");
    await client.received("\r\n\r\n3\r\none\r\n");
    res.write("two");
    await client.received("3\r\ntwo\r\n");
    res.end();
    await client.received("0\r\n\r\n");
  });

  test("while the request still comes: both ways at once", async () => {
    const { port } = await serve((req, res) => void pipeline(req, res));
    const outgoing = httpRequest({ port, host: "127.0.0.1", method: "POST", agent: false });
    outgoing.write("first");
    const [response] = await once(outgoing, "response");
    const chunks = response.setEncoding("utf8")[Symbol.asyncIterator]();

    expect((await chunks.next()).value).toBe("first");
    outgoing.write("second");
    expect((await chunks.next()).value).toBe("second");
    outgoing.end();
    expect((await chunks.next()).done).toBe(true);
  });

  test("calls back when a piece has been taken", async () => {
    const { res } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

    const error = await new Promise((written) => res.write("x", written));

    expect(error ?? undefined).toBeUndefined();
  });
});

describe("a client that breaks off", () => {
  test("in the middle of its body is told to the handler as 'aborted' and ECONNRESET", async () => {
    const { client, req, res } = await begun(`${POST}Content-Length: 10\r\n\r\nhalf`);
    const aborted = once(req, "aborted");
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => req.once("error", resolve));
    const closed = once(res, "close");

    client.socket.destroy();

    expect((await failed).code).toBe("ECONNRESET");
    await Promise.all([aborted, closed]);
    expect(req.complete).toBe(false);
    expect(res.writableFinished).toBe(false);
  });

  test("while the handler thinks is told by 'close' of request and response", async () => {
    const { client, req, res } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const closed = Promise.all([req, res].map((each) => new Promise((done) => each.once("close", done))));

    client.socket.destroy();

    await closed;
    expect(req.destroyed).toBe(true);
    expect(res.destroyed).toBe(true);
  });

  test("by a reset is told the same way", async () => {
    const { client, res } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const closed = once(res, "close");

    client.socket.resetAndDestroy();

    await closed;
    expect(res.writableEnded).toBe(false);
  });

  test("in the middle of the answer ends the handler's pipeline", async () => {
    const { client, res } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(64 * 1024);
    };
    const piped = pipeline(endless, res);
    await client.received("\r\n\r\n");

    client.socket.destroy();

    await expect(piped).rejects.toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  test("leaves the others alone", async () => {
    const { port } = await serve((req, res) => {
      if (req.url !== "/hang") res.end("served");
    });
    const client = await RawClient.open(port);
    client.get("/hang");
    client.socket.destroy();
    await client.closed;

    expect((await request(port)).body).toBe("served");
  });
});

describe("a connection", () => {
  test("is kept for the next request", async () => {
    const ports = new Set<number | undefined>();
    const { port } = await serve((req, res) => {
      ports.add(req.socket.remotePort);
      res.end("!");
    });
    const client = await RawClient.open(port);

    for (const times of [1, 2, 3]) {
      client.get();
      await client.received("\r\n\r\n!", times);
    }

    expect(ports.size).toBe(1);
  });

  test("is closed when it was idle for 5 s", async () => {
    const { port } = await serve((_req, res) => res.end());
    const client = await RawClient.open(port);
    client.get();
    await client.received("\r\n\r\n");
    const answered = performance.now();

    await client.closed;

    expect(performance.now() - answered).toBeGreaterThan(4_900);
  });

  test("is closed behind an answer that says so", async () => {
    const { port } = await serve((_req, res) => res.setHeader("Connection", "close").end("last"));
    const client = await RawClient.open(port);

    client.get();
    await client.closed;

    expect(client.text).toMatch(/last$/);
  });

  test.each<[string, (socket: Socket, res: ServerResponse, body: Buffer) => unknown]>([
    ["Connection: close", (_socket, res, body) => res.setHeader("Connection", "close").end(body)],
    ["the end of the socket", (socket, res, body) => res.end(body, () => socket.end())],
    ["the destruction of the socket", (socket, res, body) => res.end(body, () => socket.destroy())],
  ])("ends behind an answer of 8 MiB for a slow reader: %s", async (_how, answer) => {
    const body = Buffer.alloc(8 * 1024 * 1024, "~");
    const { port } = await serve((req, res) => (req.url === "/" ? res.end() : answer(req.socket, res, body)));
    const client = await RawClient.open(port);
    client.socket.pause();
    client.get("/large");
    // The answer is on its way, and further than the system lets it go.
    for (let turn = 0; turn < 20; turn++) await request(port);

    client.socket.resume();
    await client.closed;

    expect(client.text.lastIndexOf("~") - client.text.indexOf("~") + 1).toBe(body.length);
  });

  test("answers pipelined requests in their order, whichever handler is done first", async () => {
    const waiting: Record<string, ServerResponse> = {};
    const { port } = await serve((req, res) => {
      waiting[req.url!] = res;
      if (req.url === "/3") for (const url of ["/2", "/3", "/1"]) waiting[url]!.end(url);
    });
    const client = await RawClient.open(port);

    for (const url of ["/1", "/2", "/3"]) client.get(url);
    await client.received("\r\n\r\n/3");

    expect(client.text.match(/^\/\d/gm)).toEqual(["/1", "/2", "/3"]);
  });

  test("can be destroyed by the handler", async () => {
    const { client, req } = await begun("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

    req.socket.destroy();
    await client.closed;

    expect(client.text).toBe("");
  });
});
