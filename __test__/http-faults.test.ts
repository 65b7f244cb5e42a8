import type { IncomingMessage, ServerResponse } from "node:http";
import { RawClient, request, stopAll } from "./support/http";
import { type RecordingLogger, startServer } from "./support/test-server";

afterEach(stopAll);

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** A server with a faulty handler for /fault and one that answers everything else. */
async function withFault(
  fault: Handler,
): Promise<{ port: number; logger: RecordingLogger; client: RawClient }> {
  const { server, port, logger } = await startServer();
  server.addHttpHandler((async (req: IncomingMessage, res: ServerResponse) =>
    req.url === "/fault" ? fault(req, res) : false) as never);
  server.addHttpHandler(async (req, res) => {
    if (req.url === "/fault") return false;
    res.end("well");
    return true;
  });
  return { port, logger, client: await RawClient.open(port) };
}

function errorsOf(logger: RecordingLogger): unknown[] {
  return logger.of("HTTP handler error").map(({ level, rest }) => [level, ...rest]);
}

const boom = (): never => {
  throw new Error("boom");
};
const logged = [["error", { error: "boom", url: "/fault" }]];

/** What a handler does before it fails, and how the answer then looks. */
const faults: [string, Handler][] = [
  ["throws at once", boom],
  ["rejects", () => Promise.reject(new Error("boom"))],
  ["rejects later", () => new Promise((_resolve, reject) => setImmediate(() => reject(new Error("boom"))))],
];

describe.each(faults)("a handler that %s", (_how, fail) => {
  test("is logged, and the request gets the 404 of nobody", async () => {
    const { client, logger } = await withFault(fail);

    client.get("/fault");
    await client.received('{"error":"Not found"}');

    expect(errorsOf(logger)).toEqual(logged);
  });

  test("leaves its connection to the next request", async () => {
    const { client } = await withFault(fail);

    client.get("/fault");
    client.get("/");

    await client.received("\r\n\r\nwell");
  });

  test("after the head was written is logged, and its connection ends", async () => {
    const { client, logger, port } = await withFault((req, res) => {
      res.writeHead(200).write("half");
      return fail(req, res);
    });

    client.get("/fault");
    await client.closed;

    expect(errorsOf(logger)).toEqual(logged);
    expect(client.text).not.toContain("0\r\n\r\n");
    expect((await request(port)).body).toBe("well");
  });

  test("after it has answered is logged, and the answer stands", async () => {
    const { client, logger } = await withFault((req, res) => {
      res.end("answer");
      return fail(req, res);
    });

    client.get("/fault");
    client.get("/");
    await client.received("\r\n\r\nwell");

    expect(client.text).toContain("\r\n\r\nanswer");
    expect(errorsOf(logger)).toEqual(logged);
  });
});

describe("a handler that returns false", () => {
  test("after it has answered is no fault: nothing is logged and the connection goes on", async () => {
    const { client, logger } = await withFault((_req, res) => {
      res.end("answer");
      return false;
    });

    client.get("/fault");
    client.get("/");
    await client.received("\r\n\r\nwell");

    expect(client.text).toContain("\r\n\r\nanswer");
    expect(errorsOf(logger)).toEqual([]);
  });

  test("after it wrote a head without the rest loses its connection", async () => {
    const { client, port } = await withFault((_req, res) => {
      res.writeHead(200, { "Content-Length": 10 }).write("half");
      return false;
    });

    client.get("/fault");
    await client.closed;

    expect((await request(port)).body).toBe("well");
  });

  test("after it set headers leaves them to the 404", async () => {
    const { client } = await withFault((_req, res) => {
      res.setHeader("X-Mine", "1");
      return false;
    });

    client.get("/fault");
    await client.received('{"error":"Not found"}');

    expect(client.text).toContain("X-Mine: 1\r\n");
  });
});

describe("a handler that breaks its connection", () => {
  test.each<[string, Handler]>([
    ["destroys the socket", (req) => req.socket.destroy()],
    ["destroys the request", (req) => req.destroy()],
    ["destroys the response", (_req, res) => res.destroy()],
    ["ends the socket", (req) => req.socket.end()],
    ["destroys the socket with an error", (req) => req.socket.destroy(new Error("mine"))],
    ["destroys the response with an error", (_req, res) => res.destroy(new Error("mine"))],
    ["destroys the socket behind its answer", (req, res) => res.end("x", () => req.socket.destroy())],
  ])("ends that connection only: %s", async (_how, breakIt) => {
    const { client, port } = await withFault((req, res) => {
      breakIt(req, res);
      return true;
    });

    client.get("/fault");
    await client.closed;

    expect((await request(port)).body).toBe("well");
  });

  test("and says it did nothing is answered for in vain, and others are served", async () => {
    const { client, port, logger } = await withFault((req) => {
      req.socket.destroy();
      return false;
    });

    client.get("/fault");
    await client.closed;

    expect((await request(port)).body).toBe("well");
    expect(errorsOf(logger)).toEqual([]);
  });
});

describe("what is thrown", () => {
  test.each([
    ["a text", "boom", "boom"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["an object", { a: 1 }, "[object Object]"],
  ])("is logged when it is %s", async (_what, thrown, error) => {
    const { client, logger } = await withFault(() => Promise.reject(thrown));

    client.get("/fault");
    await client.received("HTTP/1.1 404");

    expect(errorsOf(logger)).toEqual([["error", { error, url: "/fault" }]]);
  });

  test("by a logger that is told of it ends nothing", async () => {
    const logger = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: boom };
    const { server, port } = await startServer({ logger });
    server.addHttpHandler(boom);

    expect((await request(port)).status).toBe(404);
  });
});
