import { Child } from "../support/child";
import { expectAtMost, MIB, sized } from "../support/figures";

afterEach(() => Child.endAll());

jest.setTimeout(120_000);

const CONNECTIONS = sized(200, 2_000);
/** Each deadline of ours, in `npm run soak` as it is by default. */
const DEADLINES_MS = {
  requestHeadTimeoutMs: sized(1_000, 30_000),
  registrationTimeoutMs: sized(1_000, 10_000),
  writeTimeoutMs: sized(1_000, 10_000),
};
/** Those of Node's server, which has 60 s and 300 s and looks every 30 s. */
const NODES_DEADLINES_MS = { headersTimeout: 500, requestTimeout: 1_000, connectionsCheckingInterval: 100 };
/** What the machine needs for all of them, and the system's buffers to be full. */
const LATE_MS = 5_000;
/** 2,000 connections of any kind, with the buffers that each has a right to. */
const MOST_MIB = sized(50, 150);

async function startServer(): Promise<{ server: Child; port: number }> {
  const server = new Child();
  const port = await server.run(
    async ({ WorkerServer, http, state }, { limits, deadlines }) => {
      const { createServer } = http;
      (http as any).createServer = (listener: any) => createServer(deadlines, listener);
      const server = (state.server = new WorkerServer({ port: 0, limits }));
      const large = Buffer.alloc(16 * 1024 * 1024);
      server.addHttpHandler(async (req, res) => {
        if (req.method === "POST") for await (const _ of req);
        res.end(req.url === "/large" ? large : "x");
        return true;
      });
      await server.start();
      return server.port;
    },
    { limits: DEADLINES_MS, deadlines: NODES_DEADLINES_MS },
  );
  return { server, port };
}

interface Seen {
  /** Milliseconds from the first byte to the end, of the first and the last connection to end. */
  readonly first: number;
  readonly last: number;
  /** The first line that was received, by how many. */
  readonly answers: Record<string, number>;
}

/** Opens them, writes the text to each, a byte more now and then if `drips`, and waits until the server ends them. */
function connectAll(
  port: number,
  text: string,
  { drips = "", reads = true, count = CONNECTIONS } = {},
): Promise<Seen> {
  return new Child().run(
    async ({ net, once, inBatches }, { port, text, drips, reads, count }) => {
      const answers: Record<string, number> = {};
      const ends: Promise<number>[] = [];
      await inBatches(count, async () => {
        const socket = net.connect(port, "127.0.0.1");
        socket.on("error", () => {});
        let answer = "";
        if (reads) socket.setEncoding("latin1").on("data", (chunk) => (answer += chunk));
        const began = performance.now();
        await once(socket, "connect");
        socket.write(text);
        const timer = drips === "" ? undefined : setInterval(() => socket.write(drips), 200);
        // One that does not read notices the end when it writes.
        const probe = reads ? undefined : setInterval(() => socket.write("\n"), 100);
        ends.push(
          new Promise((resolve) => {
            socket.once("close", () => {
              clearInterval(timer);
              clearInterval(probe);
              const line = answer.split("\r\n")[0]!;
              answers[line] = (answers[line] ?? 0) + 1;
              resolve(performance.now() - began);
            });
          }),
        );
      });
      const times = await Promise.all(ends);
      return { first: Math.min(...times), last: Math.max(...times), answers };
    },
    { port, text, drips, reads, count },
  );
}

const UPGRADE =
  "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const POST = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
const TIMEOUT = "HTTP/1.1 408 Request Timeout";

const CASES: [string, string, number, string, Parameters<typeof connectAll>[2]][] = [
  ["say nothing", "", DEADLINES_MS.requestHeadTimeoutMs, TIMEOUT, {}],
  ["never finish the handshake", UPGRADE, DEADLINES_MS.requestHeadTimeoutMs, TIMEOUT, { drips: "X: y\r\n" }],
  [
    "never register",
    `${UPGRADE}\r\n`,
    DEADLINES_MS.registrationTimeoutMs,
    "HTTP/1.1 101 Switching Protocols",
    {},
  ],
  ["send a slow body", POST, NODES_DEADLINES_MS.requestTimeout, TIMEOUT, { drips: "x" }],
  ["send no body", POST, NODES_DEADLINES_MS.requestTimeout, TIMEOUT, {}],
  [
    "send a second head slowly",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n",
    NODES_DEADLINES_MS.headersTimeout,
    "HTTP/1.1 200 OK",
    { drips: "X: y\r\n" },
  ],
];

test.each(CASES)(
  `${CONNECTIONS} connections that %s are closed at their deadline, and their memory is bounded`,
  async (_what, text, deadlineMs, answer, behaviour) => {
    const { server, port } = await startServer();
    const base = await server.run(({ memory }) => memory().now);
    await server.run(({ memory }) => memory());

    const { first, last, answers } = await connectAll(port, text, behaviour);
    const memory = await server.run(({ memory }) => memory());

    expect(first).toBeGreaterThan(deadlineMs - 100);
    expectAtMost(
      "the last was closed after",
      last,
      deadlineMs + NODES_DEADLINES_MS.connectionsCheckingInterval + LATE_MS,
    );
    expect(answers).toEqual({ [answer]: CONNECTIONS });
    expectAtMost("memory grew by", (memory.most - base) / MIB, MOST_MIB, "MiB");
    const { connections } = await server.run(({ state }) => state.server.stats());
    expect(connections).toBe(0);
  },
);

test("connections whose answers of 16 MiB are not read are dropped at the write deadline, and their memory is bounded", async () => {
  const { server, port } = await startServer();
  const count = sized(50, 200);
  const base = await server.run(({ memory }) => memory().now);
  await server.run(({ memory }) => memory());

  const { last } = await connectAll(port, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", { reads: false, count });
  const memory = await server.run(({ memory }) => memory());

  expectAtMost("the last was dropped after", last, DEADLINES_MS.writeTimeoutMs + LATE_MS);
  // A piece each, which may have been taken and replaced a few times before a collection.
  expectAtMost("memory grew by", (memory.most - base) / MIB, MOST_MIB + count, "MiB");
  const { writeTimeouts } = await server.run(({ state }) => state.server.stats());
  expect(writeTimeouts).toBe(count);
});

test("a client that reads its large answer slowly, but reads, gets all of it", async () => {
  const { port } = await startServer();
  const length = await new Child().run(
    async ({ net, once, pause }, { port, pauseMs }) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.write("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      let length = 0;
      socket.on("data", async (chunk) => {
        length += chunk.length;
        // Often and for less than the deadline, but for longer than that in all.
        if (length % 7 === 0) {
          socket.pause();
          await pause(pauseMs);
          socket.resume();
        }
      });
      await once(socket, "end");
      return length;
    },
    { port, pauseMs: 50 },
  );
  expect(length).toBeGreaterThan(16 * MIB);
});
