import { Agent, get } from "node:http";
import { once } from "node:events";
import type { WorkerServer } from "../index.js";
import { HttpChild } from "./support/http-child";
import { RawClient, mount, request, serve, stopAll } from "./support/http";
import { createServer, startServer } from "./support/test-server";
import { TestWorker, capabilities } from "./support/test-worker";
import { until } from "./support/until";

afterEach(async () => {
  await HttpChild.endAll();
  await stopAll();
});

const healthPath = "/healthz";
const HEAD = "HTTP/1.1 200 OK\r\n";

async function health(port: number): Promise<Record<string, any>> {
  return JSON.parse((await request(port, { path: healthPath })).body);
}

describe("the health path", () => {
  test("is answered with 200 and JSON that nobody may store", async () => {
    const { port } = await startServer({ healthPath });

    const reply = await request(port, { path: healthPath });

    expect(reply).toMatchObject({ status: 200, reason: "OK" });
    expect(reply.headers).toMatchObject({
      "content-type": "application/json",
      "cache-control": "no-store",
      "content-length": String(reply.body.length),
    });
  });

  test("tells status, workers, uptime and lag of the event loop", async () => {
    const { port } = await startServer({ healthPath });

    const fields = await health(port);

    expect(Object.keys(fields)).toEqual([
      "status",
      "workers",
      "available",
      "uptimeSeconds",
      "eventLoopLagMs",
    ]);
    expect(fields).toMatchObject({ status: "ok", workers: 0, available: 0 });
    expect(fields.uptimeSeconds).toBeGreaterThanOrEqual(0);
    expect(fields.eventLoopLagMs).toBeGreaterThanOrEqual(0);
  });

  test("counts the workers, and those that are available", async () => {
    const { server, port } = await startServer({ healthPath });
    const one = capabilities({ maxConcurrentRequests: 1 });
    await TestWorker.register(port, { workerId: "busy", capabilities: one });
    const other = await TestWorker.register(port, { workerId: "free" });
    server.trackRequest("busy", "request");

    expect(await health(port)).toMatchObject({ workers: 2, available: 1 });
    await other.close();
    await until(() => server.getWorkerCount() === 1, "the worker is gone");
    expect(await health(port)).toMatchObject({ workers: 1, available: 0 });
  });

  test("has no body for HEAD", async () => {
    const { port } = await startServer({ healthPath });
    const client = await RawClient.open(port);

    client.write(`HEAD ${healthPath} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await client.closed;

    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(client.text).toMatch(/Content-Length: [1-9]\d+\r\n/);
    expect(client.text).toMatch(/\r\n\r\n$/);
  });

  test("is found whatever the query", async () => {
    const { port } = await startServer({ healthPath });

    expect((await request(port, { path: `${healthPath}?probe=1` })).status).toBe(200);
  });

  test("never comes to the handlers", async () => {
    const listener = jest.fn();
    const { port } = await serve(listener, { healthPath });

    await health(port);

    expect(listener).not.toHaveBeenCalled();
  });

  test.each([
    ["another path", "GET", "/healthz/"],
    ["another case", "GET", "/HEALTHZ"],
    ["another method", "POST", healthPath],
  ])("leaves %s to the handlers", async (_what, method, path) => {
    const { port } = await serve((_req, res) => res.end("handled"), { healthPath });

    expect((await request(port, { method, path })).body).toBe("handled");
  });

  test("is not answered unless asked for", async () => {
    const { port } = await startServer();

    expect((await request(port, { path: healthPath })).status).toBe(404);
  });

  test("works when the server is started again", async () => {
    const { server } = createServer({ healthPath });
    await server.start();
    await server.stop();
    await server.start();

    expect(await health(server.port)).toMatchObject({ status: "ok" });
  });

  test("at the path of workers leaves the workers alone", async () => {
    const { server, port } = await startServer({ healthPath: "/ws" });

    await TestWorker.register(port);

    expect(server.getWorkerCount()).toBe(1);
    expect((await request(port, { path: "/ws" })).status).toBe(200);
  });
});

describe("the connection of a probe", () => {
  test("is kept for further probes", async () => {
    const { port } = await startServer({ healthPath });
    const client = await RawClient.open(port);

    for (const times of [1, 2, 3]) {
      client.get(healthPath);
      await client.received(HEAD, times);
    }

    expect(client.text.match(/"status":"ok"/g)).toHaveLength(3);
  });

  test("is closed when the probe says so", async () => {
    const { port } = await startServer({ healthPath });
    const client = await RawClient.open(port);

    client.write(`GET ${healthPath} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await client.closed;

    expect(client.text).toContain("Connection: close\r\n");
  });

  test("takes requests for the handlers behind the probe", async () => {
    const { port } = await serve((req, res) => res.end(`handled ${req.url}`), { healthPath });
    const client = await RawClient.open(port);

    client.get(healthPath);
    await client.received('"eventLoopLagMs"');
    client.get("/one");
    await client.received("handled /one");
    client.get("/two");
    await client.received("handled /two");
  });

  test("takes all of them in one packet, in order", async () => {
    const { port } = await serve((req, res) => res.end(`handled ${req.url}`), { healthPath });
    const client = await RawClient.open(port);
    const head = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

    client.write(head(healthPath) + head(healthPath) + head("/one") + head("/two"));
    await client.received("handled /two");

    expect(client.text.match(/"status":"ok"|handled \/(?:one|two)/g)).toEqual([
      '"status":"ok"',
      '"status":"ok"',
      "handled /one",
      "handled /two",
    ]);
  });

  test("serves an agent that keeps connections", async () => {
    const { port } = await serve((_req, res) => res.end("handled"), { healthPath });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const statuses: number[] = [];

    for (const path of [healthPath, healthPath, "/", "/"]) {
      const [response] = await once(get({ port, host: "127.0.0.1", path, agent }), "response");
      statuses.push(response.statusCode);
      await once(response.resume(), "end");
    }
    agent.destroy();

    expect(statuses).toEqual([200, 200, 200, 200]);
  });

  test("is dropped at once when the server stops", async () => {
    const { server, port } = await startServer({ healthPath });
    const client = await RawClient.open(port);
    client.get(healthPath);
    await client.received(HEAD);

    await Promise.all([server.stop({ timeoutMs: 60_000 }), client.closed]);
  });
});

describe("while the event loop of the server is blocked", () => {
  const BLOCK_MS = 2_500;

  test("the health path is answered, with a lag that grows", async () => {
    const child = await HttpChild.start();
    await child.block(BLOCK_MS);

    const lags: number[] = [];
    const end = performance.now() + BLOCK_MS;
    while (performance.now() < end && (lags.at(-1) ?? 0) < 1_200) {
      lags.push((await health(child.port)).eventLoopLagMs);
    }

    expect(lags.at(-1)).toBeGreaterThanOrEqual(1_200);
    expect([...lags].sort((a, b) => a - b)).toEqual(lags);
  });

  test("a handler is not, but is when the block is over", async () => {
    const child = await HttpChild.start();
    await child.block(500);
    const answers: string[] = [];

    const handled = request(child.port).then(({ body }) => answers.push(body));
    await health(child.port);
    answers.push("probed");
    await handled;

    expect(answers).toEqual(["probed", "handled"]);
  });

  test("the lag goes down when the block is over", async () => {
    const child = await HttpChild.start();
    await child.block(1_200);
    const lagOf = async (): Promise<number> => (await health(child.port)).eventLoopLagMs;

    while ((await lagOf()) < 300);
    while ((await lagOf()) >= 300);
  });
});

describe("the option healthPath", () => {
  test.each([[1], [true], [{}]])("must be a text: %p is refused", (value) => {
    expect(() => createServer({ healthPath: value as unknown as string })).toThrow(/healthPath/);
  });

  test("does not stand in the way of handlers added later", async () => {
    const { server, port }: { server: WorkerServer; port: number } = await startServer({ healthPath });
    mount(server, (_req, res) => res.end("late"));

    expect((await request(port)).body).toBe("late");
  });
});
