import { EventSource } from "eventsource";
import { once } from "node:events";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { Agent, Client, Pool, WebSocket, fetch } from "undici";
import { serve, stopAll } from "./support/http";
import { startServer } from "./support/test-server";
import { registration } from "./support/test-worker";
import { until } from "./support/until";

/** What is to be closed behind a test. */
const open: { close(): unknown }[] = [];

function closing<T extends { close(): unknown }>(it: T): T {
  open.push(it);
  return it;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((it) => it.close()));
  await stopAll();
});

const sockets = new Set<number | undefined>();
/** Answers with the body it got, and remembers the connection. */
const mirror: RequestListener = (req, res) => {
  sockets.add(req.socket.remotePort);
  res.writeHead(200, { "X-Url": req.url! });
  req.pipe(res);
};
beforeEach(() => sockets.clear());

describe("fetch of undici", () => {
  test("keeps its connection for one request after the other", async () => {
    const { url } = await serve(mirror);
    const dispatcher = closing(new Agent({ connections: 1 }));

    for (let count = 0; count < 20; count++) {
      const response = await fetch(`${url}/${count}`, { method: "POST", body: String(count), dispatcher });
      expect(await response.text()).toBe(String(count));
    }

    expect(sockets.size).toBe(1);
  });

  test("does a hundred requests at once", async () => {
    const { url } = await serve(mirror);
    const dispatcher = closing(new Agent({ connections: 10 }));

    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, count) => {
        const response = await fetch(url, { method: "POST", body: String(count), dispatcher });
        return response.text();
      }),
    );

    expect(texts).toEqual(Array.from({ length: 100 }, (_, count) => String(count)));
    expect(sockets.size).toBeLessThanOrEqual(10);
  });

  test("streams its body up and the answer down at the same time", async () => {
    const { url } = await serve(mirror);
    const dispatcher = closing(new Agent());
    const body = new Readable({ read: () => {} });
    body.push("first");

    const response = await fetch(url, { method: "POST", body, duplex: "half", dispatcher });
    const answer = Readable.fromWeb(response.body as never).setEncoding("utf8");
    const parts = answer[Symbol.asyncIterator]();

    expect((await parts.next()).value).toBe("first");
    body.push("second");
    expect((await parts.next()).value).toBe("second");
    body.push(null);
    expect((await parts.next()).done).toBe(true);
  });

  test("breaks off, which the handler sees", async () => {
    const responses: ServerResponse[] = [];
    const { url } = await serve((_req, res) => responses.push(res));
    const controller = new AbortController();
    const dispatcher = closing(new Agent());
    const reply = fetch(url, { signal: controller.signal, dispatcher }).catch((error) => error.name);
    await until(() => responses.length > 0, "the request arrives");
    const closed = once(responses[0]!, "close");

    controller.abort();

    expect(await reply).toBe("AbortError");
    await closed;
  });

  test("follows a redirect to an empty 204", async () => {
    const { url } = await serve((req, res) => {
      if (req.url === "/") res.writeHead(307, { Location: "/there" }).end();
      else res.writeHead(204).end();
    });
    const dispatcher = closing(new Agent());

    const response = await fetch(url, { dispatcher });

    expect([response.redirected, response.status, await response.text()]).toEqual([true, 204, ""]);
  });
});

describe("the clients of undici", () => {
  test("pipeline requests, which are answered in order", async () => {
    const { url } = await serve((req, res) => res.end(req.url));
    const client = closing(new Client(url, { pipelining: 10 }));

    const texts = await Promise.all(
      Array.from({ length: 50 }, async (_, count) => {
        const { body } = await client.request({ path: `/${count}`, method: "GET" });
        return body.text();
      }),
    );

    expect(texts).toEqual(Array.from({ length: 50 }, (_, count) => `/${count}`));
  });

  test("get early hints before the answer", async () => {
    const { url } = await serve((_req, res) => {
      res.writeEarlyHints({ link: "</a.css>; rel=preload" });
      res.end("final");
    });
    const pool = closing(new Pool(url));
    const statuses: number[] = [];

    const { body } = await pool.request({
      path: "/",
      method: "GET",
      onInfo: ({ statusCode }) => statuses.push(statusCode),
    });

    expect(await body.text()).toBe("final");
    expect(statuses).toEqual([103]);
  });

  test("get the trailers of an answer", async () => {
    const { url } = await serve((_req, res) => {
      res.writeHead(200, { Trailer: "X-Sum" });
      res.write("body");
      res.addTrailers({ "X-Sum": "7" });
      res.end();
    });
    const pool = closing(new Pool(url));

    const { body, trailers } = await pool.request({ path: "/", method: "GET" });
    await body.text();

    expect(trailers).toEqual({ "x-sum": "7" });
  });
});

describe("the WebSocket of undici", () => {
  test("talks with an endpoint, and they close in order", async () => {
    const { server, port } = await startServer();
    server.addWebSocketEndpoint("/live", (socket) => {
      socket.on("message", (data, binary) => socket.send(data, { binary }));
    });
    const client = new WebSocket(`ws://127.0.0.1:${port}/live`, ["chat"]);
    await once(client as never, "open");

    client.send("grüße");
    const [{ data }] = await once(client as never, "message");
    client.close(1000, "done");
    const [{ code, reason, wasClean }] = await once(client as never, "close");

    expect({ protocol: client.protocol, data, code, reason, wasClean }).toEqual({
      protocol: "chat",
      data: "grüße",
      code: 1000,
      reason: "done",
      wasClean: true,
    });
  });

  test("is a worker", async () => {
    const { server, port } = await startServer();
    const client = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(client as never, "open");

    client.send(JSON.stringify(registration()));
    const [{ data }] = await once(client as never, "message");

    expect(JSON.parse(data)).toMatchObject({ type: "worker_registration_ack", success: true });
    expect(server.getWorkerCount()).toBe(1);
    client.close();
    await once(client as never, "close");
  });

  test("is closed by the server with its code", async () => {
    const { server, port } = await startServer();
    server.addWebSocketEndpoint("/live", (socket) => socket.close(4001, "not you"));

    const client = new WebSocket(`ws://127.0.0.1:${port}/live`);
    const [{ code, reason }] = await once(client as never, "close");

    expect({ code, reason }).toEqual({ code: 4001, reason: "not you" });
  });
});

describe("a client of server-sent events", () => {
  const HEAD = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" };

  /** A client, and every request it has made with its response. */
  async function connected(): Promise<{ source: EventSource; asked: [IncomingMessage, ServerResponse][] }> {
    const asked: [IncomingMessage, ServerResponse][] = [];
    const { url } = await serve((req, res) => {
      res.writeHead(200, HEAD).flushHeaders();
      asked.push([req, res]);
    });
    const source = closing(new EventSource(url));
    await once(source as never, "open");
    return { source, asked };
  }

  test("gets each event when it is written", async () => {
    const { source, asked } = await connected();
    const res = asked[0]![1];

    for (const text of ["one", "two", "three"]) {
      const event = once(source as never, "message");
      res.write(`data: ${text}\n\n`);
      expect((await event)[0].data).toBe(text);
    }
  });

  test("gets events of a name, over several lines", async () => {
    const { source, asked } = await connected();
    const event = once(source as never, "progress");

    asked[0]![1].write("event: progress\ndata: one\ndata: two\n\n");

    expect((await event)[0].data).toBe("one\ntwo");
  });

  test("that leaves is seen by the handler", async () => {
    const { source, asked } = await connected();
    const closed = once(asked[0]![1], "close");

    source.close();

    await closed;
  });

  test("comes back with the id of its last event when the answer ends", async () => {
    const { source, asked } = await connected();
    const event = once(source as never, "message");
    asked[0]![1].write("retry: 1\nid: 42\ndata: x\n\n");
    await event;

    asked[0]![1].end();
    await once(source as never, "open");

    expect(asked[1]![0].headers["last-event-id"]).toBe("42");
  });

  test("is ended by stop when its time is up", async () => {
    const { url, server } = await serve((_req, res) => res.writeHead(200, HEAD).write("data: x\n\n"));
    const source = closing(new EventSource(url));
    await once(source as never, "message");
    const ended = once(source as never, "error");

    await server.stop({ timeoutMs: 20 });

    await ended;
  });
});
