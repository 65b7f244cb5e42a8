import { getRequestListener } from "@hono/node-server";
import connect from "connect";
import express5 from "express";
import express4 from "express4";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { type RequestListener, createServer } from "node:http";
import { type Reply, RawClient, mount, request, serve, stopAll } from "./support/http";
import { type RecordingLogger, startServer } from "./support/test-server";

/*
 * Each framework serves the same small application, which is asked the same questions.
 */

afterEach(stopAll);

const ITEM = { method: "POST", headers: { "Content-Type": "application/json" } };
const BIG = "x".repeat(512 * 1024);

interface Application {
  readonly listener: RequestListener;
  readonly close?: () => Promise<void>;
}

type ExpressLike = typeof express5 | typeof express4;

/** The versions have types of their own, which agree in what is used here. */
function withExpress(express: ExpressLike): Application {
  const app = (express as typeof express5)();
  app.use((express as typeof express5).json({ limit: "1mb" }));
  app.use((req, res, next) => {
    res.setHeader("X-Ip", String(req.ip));
    next();
  });
  app.get("/items/:id", (req, res) => void res.json({ id: req.params.id, q: req.query.q }));
  app.post("/items", (req, res) => void res.status(201).json(req.body));
  app.get("/moved", (_req, res) => res.redirect(302, "/items/1"));
  app.get("/text", (_req, res) => void res.type("text").send("text"));
  app.get("/fails", () => {
    throw new Error("boom");
  });
  app.get("/streams", (_req, res) => {
    res.write("one,");
    setImmediate(() => res.end("two"));
  });
  app.set("env", "test");
  return { listener: app as unknown as RequestListener };
}

function withConnect(): Application {
  const app = connect();
  app.use((req, res, next) => {
    res.setHeader("X-Ip", String(req.socket.remoteAddress));
    next();
  });
  app.use((req, res, next) => {
    const { pathname, searchParams } = new URL(req.url!, "http://x");
    const json = (status: number, value: unknown): void => {
      res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    };
    if (pathname.startsWith("/items/")) {
      json(200, { id: pathname.slice(7), q: searchParams.get("q") ?? undefined });
    } else if (pathname === "/items") {
      let body = "";
      req.on("data", (chunk) => (body += chunk)).on("end", () => json(201, JSON.parse(body)));
    } else if (pathname === "/moved") {
      res.writeHead(302, { Location: "/items/1" }).end();
    } else if (pathname === "/text") {
      res.end("text");
    } else if (pathname === "/fails") {
      throw new Error("boom");
    } else if (pathname === "/streams") {
      res.write("one,");
      setImmediate(() => res.end("two"));
    } else {
      next();
    }
  });
  return { listener: app };
}

function withKoa(): Application {
  const app = new Koa();
  app.silent = true;
  app.use(async (context) => {
    context.set("X-Ip", context.ip);
    if (context.path.startsWith("/items/")) {
      context.body = { id: context.path.slice(7), q: context.query.q };
    } else if (context.path === "/items") {
      let body = "";
      for await (const chunk of context.req) body += chunk;
      context.status = 201;
      context.body = JSON.parse(body);
    } else if (context.path === "/moved") {
      context.redirect("/items/1");
    } else if (context.path === "/text") {
      context.body = "text";
    } else if (context.path === "/fails") {
      throw new Error("boom");
    } else if (context.path === "/streams") {
      context.respond = false;
      context.res.statusCode = 200;
      context.res.write("one,");
      setImmediate(() => context.res.end("two"));
    }
  });
  return { listener: app.callback() };
}

function withHono(): Application {
  const app = new Hono<{ Bindings: { incoming: { socket: { remoteAddress: string } } } }>();
  app.use(async (context, next) => {
    await next();
    context.header("X-Ip", context.env.incoming.socket.remoteAddress);
  });
  app.get("/items/:id", (context) =>
    context.json({ id: context.req.param("id"), q: context.req.query("q") }),
  );
  app.post("/items", async (context) => context.json(await context.req.json(), 201));
  app.get("/moved", (context) => context.redirect("/items/1"));
  app.get("/text", (context) => context.text("text"));
  app.get("/fails", () => {
    throw new Error("boom");
  });
  app.onError((_error, context) => context.text("failed", 500));
  app.get("/streams", () => {
    const parts = new ReadableStream({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("one,"));
        await new Promise((resolve) => setImmediate(resolve));
        controller.enqueue(new TextEncoder().encode("two"));
        controller.close();
      },
    });
    return new Response(parts);
  });
  return { listener: getRequestListener(app.fetch as never, { overrideGlobalObjects: false }) };
}

/** Fastify makes its server itself; its `serverFactory` is where another server takes its place. */
async function withFastify(): Promise<Application> {
  let listener!: RequestListener;
  const app = fastify({
    serverFactory: (handler) => {
      listener = handler;
      return createServer(handler);
    },
  });
  app.addHook("onSend", async (req, reply) => void reply.header("X-Ip", req.ip));
  app.get("/items/:id", (req, reply) => reply.send({ ...(req.params as object), ...(req.query as object) }));
  app.post("/items", async (req, reply) => reply.code(201).send(req.body));
  app.get("/moved", async (_req, reply) => reply.redirect("/items/1"));
  app.get("/text", async () => "text");
  app.get("/fails", async () => {
    throw new Error("boom");
  });
  app.get("/streams", (_req, reply) => {
    reply.hijack();
    reply.raw.write("one,");
    setImmediate(() => reply.raw.end("two"));
  });
  await app.ready();
  return { listener, close: () => app.close() };
}

const frameworks: [string, () => Application | Promise<Application>][] = [
  ["Express 5", () => withExpress(express5)],
  ["Express 4", () => withExpress(express4)],
  ["Fastify", withFastify],
  ["Koa", withKoa],
  ["Hono", withHono],
  ["connect", withConnect],
];

describe.each(frameworks)("an application of %s", (_name, create) => {
  let application: Application;
  let port: number;
  let logger: RecordingLogger;

  beforeEach(async () => {
    application = await create();
    ({ port, logger } = await serve(application.listener));
  });
  afterEach(async () => application.close?.());

  const ask = (path: string, options = {}, body?: string): Promise<Reply> =>
    request(port, { path, ...options }, body);

  test("answers with JSON, by path and query", async () => {
    const reply = await ask("/items/7?q=a%20b");

    expect(reply.status).toBe(200);
    expect(reply.headers["content-type"]).toMatch(/^application\/json/);
    expect(JSON.parse(reply.body)).toEqual({ id: "7", q: "a b" });
  });

  test("reads a body of JSON", async () => {
    const reply = await ask("/items", ITEM, '{"name":"grüße"}');

    expect(reply).toMatchObject({ status: 201, body: '{"name":"grüße"}' });
  });

  test("reads a large body in chunks", async () => {
    const headers = { ...ITEM.headers, "Transfer-Encoding": "chunked" };

    const reply = await ask("/items", { ...ITEM, headers }, JSON.stringify({ big: BIG }));

    expect(JSON.parse(reply.body)).toEqual({ big: BIG });
  });

  test("answers HEAD without a body", async () => {
    const reply = await ask("/text", { method: "HEAD" });

    expect(reply).toMatchObject({ status: 200, body: "" });
  });

  test("redirects", async () => {
    expect(await ask("/moved")).toMatchObject({ status: 302, headers: { location: "/items/1" } });
  });

  test("sees where a request comes from", async () => {
    expect((await ask("/text")).headers["x-ip"]).toBe("::ffff:127.0.0.1");
  });

  test("streams", async () => {
    expect((await ask("/streams")).body).toBe("one,two");
  });

  test("says itself that it does not know a path", async () => {
    const reply = await ask("/nowhere");

    expect(reply.status).toBe(404);
    expect(reply.body).not.toBe('{"error":"Not found"}');
  });

  test("answers 500 itself when one of its handlers throws, and goes on", async () => {
    expect((await ask("/fails")).status).toBe(500);
    expect((await ask("/text")).body).toBe("text");
    expect(logger.of("HTTP handler error")).toEqual([]);
  });

  test("answers pipelined requests in order", async () => {
    const client = await RawClient.open(port);

    for (const path of ["/items/one", "/items/two", "/items/three"]) client.get(path);
    await client.received("three");

    expect(client.text.match(/one|two|three/g)).toEqual(["one", "two", "three"]);
  });
});

test.each([
  ["Express 5", express5],
  ["Express 4", express4],
])("a handler behind %s is asked when the application passes", async (_name, express: ExpressLike) => {
  const { server, port } = await startServer();
  const app = (express as typeof express5)();
  app.get("/mine", (_req, res) => void res.send("express"));
  server.addHttpHandler(
    (req, res) =>
      new Promise((resolve) => {
        res.once("finish", () => resolve(true));
        app(req as never, res as never, () => resolve(false));
      }),
  );
  mount(server, (_req, res) => res.end("next"));

  const replies = [await request(port, { path: "/mine" }), await request(port, { path: "/other" })];

  expect(replies.map(({ body }) => body)).toEqual(["express", "next"]);
});
