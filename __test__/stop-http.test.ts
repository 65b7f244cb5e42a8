import { once } from "node:events";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { WorkerServer } from "../index.js";
import { RawClient, request, serve, stopAll } from "./support/http";
import { refusalOf } from "./support/ports";
import { until } from "./support/until";

afterEach(stopAll);

/** So long that a test which waited for it would fail. */
const LONG = { timeoutMs: 60_000 };

/** A server that has answered one request ("/") of a connection that is kept; other requests stay in flight. */
async function withConnection(): Promise<{
  server: WorkerServer;
  port: number;
  client: RawClient;
  inFlight: [IncomingMessage, ServerResponse][];
}> {
  const inFlight: [IncomingMessage, ServerResponse][] = [];
  const listener: RequestListener = (req, res) => {
    if (req.url === "/") res.end("!");
    else inFlight.push([req, res]);
  };
  const { server, port } = await serve(listener);
  const client = await RawClient.open(port);
  client.get();
  await client.received("\r\n\r\n!");
  return { server, port, client, inFlight };
}

/** The same with a request in flight. */
/** Resolves when the server has accepted it: the system resets what is still in its queue when listening ends. */
async function openAccepted(server: WorkerServer, port: number): Promise<RawClient> {
  const before = server.stats().connectionsAccepted;
  const client = await RawClient.open(port);
  await until(() => server.stats().connectionsAccepted > before, "the connection is accepted");
  return client;
}

async function withRequest(path = "/slow") {
  const { server, port, client, inFlight } = await withConnection();
  client.get(path);
  await until(() => inFlight.length > 0, "the request is in flight");
  const [req, res] = inFlight[0]!;
  return { server, port, client, req, res, inFlight };
}

describe("stop", () => {
  test("drops an idle connection at once", async () => {
    const { server, client } = await withConnection();

    await Promise.all([server.stop(LONG), client.closed]);
  });

  test("drops a connection on which nothing was ever asked", async () => {
    const { server, port } = await withConnection();
    const silent = await openAccepted(server, port);

    await Promise.all([server.stop(LONG), silent.closed]);
  });

  test("drops a connection in the middle of its first head", async () => {
    const { server, port } = await withConnection();
    const client = await openAccepted(server, port);
    client.write("GET / HTTP/1.1\r\nHost:");

    await Promise.all([server.stop(LONG), client.closed]);
  });

  test("refuses new connections while a request is in flight", async () => {
    const { server, port, res } = await withRequest();

    const stopped = server.stop(LONG);

    await until(() => true, "the call returns");
    let refusal: string | undefined;
    while (refusal === undefined) refusal = await refusalOf(port);
    expect(refusal).toBe("ECONNREFUSED");
    res.end();
    await stopped;
  });

  test("lets a request in flight be answered, and ends its connection behind the answer", async () => {
    const { server, client, res } = await withRequest();

    const stopped = server.stop(LONG);
    res.end("finished");
    await Promise.all([stopped, client.closed]);

    expect(client.text).toContain("\r\n\r\nfinished");
  });

  test("waits for the request in flight", async () => {
    const { server, res } = await withRequest();
    let answered = false;

    const stopped = server.stop(LONG).then(() => answered);
    setImmediate(() => {
      answered = true;
      res.end();
    });

    expect(await stopped).toBe(true);
  });

  test("lets a body in flight arrive, and its answer go", async () => {
    const { server, port } = await serve(async (req, res) => {
      let body = "";
      for await (const chunk of req) body += chunk;
      res.end(`got ${body}`);
    });
    const client = await RawClient.open(port);
    client.write("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n");
    await client.received("100 Continue");

    const stopped = server.stop(LONG);
    client.write("the body");
    await Promise.all([stopped, client.closed]);

    expect(client.text).toContain("\r\n\r\ngot the body");
  });

  test("lets an answer in flight go on to its end", async () => {
    const { server, client, res } = await withRequest();
    res.write("one");
    await client.received("3\r\none\r\n");

    const stopped = server.stop(LONG);
    res.write("two");
    await client.received("3\r\ntwo\r\n");
    res.end();
    await Promise.all([stopped, client.closed]);

    expect(client.text).toMatch(/0\r\n\r\n$/);
  });

  test("lets a large answer reach a slow reader", async () => {
    const { server, client, res } = await withRequest();
    client.socket.pause();
    res.end(Buffer.alloc(8 * 1024 * 1024, "x"));

    const stopped = server.stop(LONG);
    client.socket.resume();
    await Promise.all([stopped, client.closed]);

    expect(client.text.length).toBeGreaterThan(8 * 1024 * 1024);
  });

  test("drops a request that hangs when its time is up", async () => {
    const { server, client, req, res } = await withRequest();
    const closed = Promise.all([req, res].map((each) => new Promise((done) => each.once("close", done))));

    await Promise.all([server.stop({ timeoutMs: 50 }), client.closed, closed]);

    expect(res.writableFinished).toBe(false);
  });

  test("drops everything at once with a time of 0", async () => {
    const { server, client } = await withRequest();

    await Promise.all([server.stop({ timeoutMs: 0 }), client.closed]);
  });

  test("tells a handler that streams when its time is up", async () => {
    const { server, res } = await withRequest();
    const closed = once(res, "close");
    res.write("and so on");

    await server.stop({ timeoutMs: 50 });
    await closed;

    expect(res.destroyed).toBe(true);
  });

  test("may be called by a handler in its own request", async () => {
    const stops: Promise<void>[] = [];
    const { server, port } = await serve((_req, res) => {
      stops.push(server.stop(LONG));
      res.end("bye");
    });

    expect((await request(port)).body).toBe("bye");
    await Promise.all(stops);
  });

  test("answers pipelined requests that had come before it", async () => {
    const { server, client, inFlight } = await withRequest("/one");
    client.get("/two");
    await until(() => inFlight.length === 2, "both are in flight");

    const stopped = server.stop(LONG);
    for (const [req, res] of inFlight) res.end(`answer to ${req.url}`);
    await Promise.all([stopped, client.closed]);

    expect(client.text.match(/answer to \/(?:one|two)/g)).toEqual(["answer to /one", "answer to /two"]);
  });
});

test("a server that was started again serves HTTP while the old run ends nothing of it", async () => {
  const { server, client } = await withConnection();
  await server.stop();
  await client.closed;
  await server.start();

  expect((await request(server.port)).body).toBe("!");
});
