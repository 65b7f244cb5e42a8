import { once } from "node:events";
import { type IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { RawClient, mount, request, serve, stopAll } from "./support/http";
import { createServer, startServer } from "./support/test-server";
import { until } from "./support/until";

afterEach(stopAll);

describe("the chain of handlers", () => {
  test("is asked in the order in which it was added", async () => {
    const { server, port } = await startServer();
    const asked: string[] = [];
    for (const name of ["first", "second", "third"]) {
      server.addHttpHandler(async (_req, res) => {
        asked.push(name);
        if (name !== "second") return false;
        res.end();
        return true;
      });
    }

    await request(port);

    expect(asked).toEqual(["first", "second"]);
  });

  test.each([[true], [1], ["yes"], [{}]])(
    "ends at a handler that returns %p, without a promise too",
    async (result) => {
      const { server, port } = await startServer();
      server.addHttpHandler(((_req: IncomingMessage, res: ServerResponse) => {
        res.end("mine");
        return result;
      }) as never);
      const next = jest.fn();
      server.addHttpHandler(next);

      expect((await request(port)).body).toBe("mine");
      expect(next).not.toHaveBeenCalled();
    },
  );

  test.each([[false], [0], [""], [null], [undefined]])(
    "goes on behind a handler that returns %p",
    async (result) => {
      const { server, port } = await startServer();
      server.addHttpHandler((() => result) as never);
      mount(server, (_req, res) => res.end("next"));

      expect((await request(port)).body).toBe("next");
    },
  );

  test("waits for a handler before it asks the next", async () => {
    const { server, port } = await startServer();
    const steps: string[] = [];
    server.addHttpHandler(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      steps.push("first is done");
      return false;
    });
    mount(server, (_req, res) => {
      steps.push("second begins");
      res.end();
    });

    await request(port);

    expect(steps).toEqual(["first is done", "second begins"]);
  });

  test("reaches a handler that was added while the one before it ran", async () => {
    const { server, port } = await startServer();
    server.addHttpHandler(async () => {
      mount(server, (_req, res) => res.end("late"));
      return false;
    });

    expect((await request(port)).body).toBe("late");
  });

  test("takes handlers before the start and after it", async () => {
    const { server } = createServer();
    server.addHttpHandler(async () => false);
    await server.start();
    mount(server, (req, res) => res.end(req.url));

    expect((await request(server.port, { path: "/here" })).body).toBe("/here");
  });

  test("stays when the server is stopped and started again", async () => {
    const { server } = await serve((_req, res) => res.end("kept"));
    await server.stop();
    await server.start();

    expect((await request(server.port)).body).toBe("kept");
  });

  test("ends in 404 as JSON when nobody wants the request", async () => {
    const { server, port } = await startServer();
    server.addHttpHandler(async () => false);

    const reply = await request(port);

    expect(reply).toMatchObject({ status: 404, reason: "Not Found", body: '{"error":"Not found"}' });
    expect(reply.headers).toMatchObject({
      "content-type": "application/json",
      "transfer-encoding": "chunked",
    });
  });

  test("serves requests of several connections at the same time", async () => {
    const { server, port } = await startServer();
    const responses: ServerResponse[] = [];
    mount(server, (_req, res) => {
      responses.push(res);
      if (responses.length === 3) for (const each of responses) each.end("together");
    });

    const replies = await Promise.all([request(port), request(port), request(port)]);

    expect(replies.map(({ body }) => body)).toEqual(["together", "together", "together"]);
  });
});

describe("the request", () => {
  /** What the handler got, while its connection lives. */
  async function received(
    headers: IncomingHttpHeaders = {},
  ): Promise<{ req: IncomingMessage; port: number }> {
    const arrived: IncomingMessage[] = [];
    const { port } = await serve((req) => arrived.push(req));
    const client = await RawClient.open(port);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    client.write(`GET /a?b=c HTTP/1.1\r\nHost: x\r\n${lines.join("")}\r\n`);
    await until(() => arrived.length > 0, "the request arrives");
    return { req: arrived[0]!, port };
  }

  test("is Node's own object, and so is the response", async () => {
    const seen: unknown[] = [];
    const { port } = await serve((req, res) => {
      seen.push(req, res);
      res.end();
    });

    await request(port);

    expect(seen[0]).toBeInstanceOf(IncomingMessage);
    expect(seen[1]).toBeInstanceOf(ServerResponse);
  });

  test("has the addresses of both ends", async () => {
    const { req, port } = await received();

    expect(req.socket.remoteAddress).toBe("::ffff:127.0.0.1");
    expect(req.socket.remoteFamily).toBe("IPv6");
    expect(req.socket.remotePort).toBeGreaterThan(0);
    expect(req.socket.localPort).toBe(port);
    expect(req.socket.address()).toEqual({ address: "::ffff:127.0.0.1", family: "IPv6", port });
  });

  test("is the same for request and response, and of a plain connection", async () => {
    const { req } = await received();

    expect(req.connection).toBe(req.socket);
    expect("encrypted" in req.socket).toBe(false);
  });

  test("counts what its connection has read and written", async () => {
    const counts: number[] = [];
    const { port } = await serve((req, res) => {
      counts.push(req.socket.bytesRead);
      res.end();
      res.once("finish", () => counts.push(req.socket.bytesWritten));
    });
    const client = await RawClient.open(port);

    client.get();
    await client.received("\r\n\r\n");

    expect(counts).toEqual([Buffer.byteLength("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), client.text.length]);
  });

  test("keeps its headers in order and as they were written", async () => {
    const { req } = await received({ "X-One": "1", "x-TWO": "2" });

    expect(req.rawHeaders).toEqual(["Host", "x", "X-One", "1", "x-TWO", "2"]);
    expect(req.headers).toEqual({ host: "x", "x-one": "1", "x-two": "2" });
  });

  test("can be given a time limit", async () => {
    const { req } = await received();

    req.setTimeout(1);

    await once(req.socket, "timeout");
  });

  test("has a time limit again after one that was lifted, and none in between", async () => {
    const { req } = await received();
    const { socket } = req;
    const limits: number[] = [];
    socket.on("timeout", () => limits.push(socket.timeout!));

    socket.setTimeout(1);
    socket.setTimeout(0);
    // A timer of Node's that is due later: by then the first limit is over.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(limits).toEqual([]);

    socket.setTimeout(1);
    await until(() => limits.length > 0, "the same limit");
    socket.setTimeout(2);
    await until(() => limits.includes(2), "another limit");
    expect(new Set(limits)).toEqual(new Set([1, 2]));
  });
});

describe("the response", () => {
  /** The reply to a GET that the listener answers. */
  async function replyOf(answer: (res: ServerResponse) => void, options = {}) {
    const { port } = await serve((_req, res) => answer(res));
    return request(port, options);
  }

  test("carries status, reason and headers", async () => {
    const reply = await replyOf((res) => {
      res.setHeader("X-Removed", "1").appendHeader("Set-Cookie", "a=1").appendHeader("Set-Cookie", "b=2");
      res.removeHeader("X-Removed");
      res.writeHead(207, "Several Things", { "X-Kept": ["1", "2"] }).end("body");
    });

    expect(reply).toMatchObject({ status: 207, reason: "Several Things", body: "body" });
    expect(reply.headers).toMatchObject({ "x-kept": "1, 2", "set-cookie": ["a=1", "b=2"] });
    expect(reply.headers).not.toHaveProperty("x-removed");
  });

  test("has date, length and keep-alive set by Node", async () => {
    const { headers } = await replyOf((res) => res.end("1234"));

    expect(Date.parse(headers.date!)).not.toBeNaN();
    expect(headers["content-length"]).toBe("4");
  });

  test("is chunked when its length is not known before", async () => {
    const { headers, body } = await replyOf((res) => {
      res.write("a");
      res.end("b");
    });

    expect(headers["transfer-encoding"]).toBe("chunked");
    expect(body).toBe("ab");
  });

  test.each(["HEAD", "GET"])("has no body to %s with 204 or HEAD", async (method) => {
    const reply = await replyOf((res) => res.writeHead(method === "GET" ? 204 : 200).end("body"), { method });

    expect(reply.body).toBe("");
  });

  test("carries trailers", async () => {
    const { trailers } = await replyOf((res) => {
      res.writeHead(200, { Trailer: "X-Sum" });
      res.write("body");
      res.addTrailers({ "X-Sum": "7" });
      res.end();
    });

    expect(trailers).toEqual({ "x-sum": "7" });
  });

  test("says 'finish' and 'close', in this order", async () => {
    const said: string[] = [];
    let closed!: Promise<unknown>;
    const reply = await replyOf((res) => {
      res.once("finish", () => said.push("finish"));
      res.once("close", () => said.push("close"));
      closed = once(res, "close");
      res.end("x");
    });
    await closed;

    expect(reply.status).toBe(200);
    expect(said).toEqual(["finish", "close"]);
  });

  test("collects what is written while it is corked", async () => {
    const { body } = await replyOf((res) => {
      res.cork();
      res.write("one ");
      res.write("two");
      res.uncork();
      res.end();
    });

    expect(body).toBe("one two");
  });

  test("sends its head before its body when told to", async () => {
    const { port } = await serve((_req, res) => res.writeHead(200, { "X-Early": "1" }).flushHeaders());
    const client = await RawClient.open(port);

    client.get();

    await client.received("X-Early: 1\r\n");
    expect(client.text).toMatch(/\r\n\r\n$/);
  });

  test.each([
    [
      "writeEarlyHints",
      (res: ServerResponse) => res.writeEarlyHints({ link: "</a.css>; rel=preload" }),
      "103",
    ],
    ["writeProcessing", (res: ServerResponse) => res.writeProcessing(), "102"],
    ["writeContinue", (res: ServerResponse) => res.writeContinue(), "100"],
  ])("sends an interim answer before its own: %s", async (_name, send, status) => {
    const { port } = await serve((_req, res) => {
      send(res);
      res.end("final");
    });
    const client = await RawClient.open(port);

    client.get();
    await client.received("final");

    expect(client.text.match(/^HTTP\/1\.1 \d+/gm)).toEqual([`HTTP/1.1 ${status}`, "HTTP/1.1 200"]);
  });
});
