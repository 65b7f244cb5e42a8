import { Child, type ChildScope } from "../support/child";
import { expectAtMost, MIB, note, sized } from "../support/figures";

afterEach(() => Child.endAll());

jest.setTimeout(120_000);

const MOST_MIB = 50;
const FLOODERS = sized(5, 20);
const TIMEOUT_MS = sized(1_000, 10_000);
/** Of registered workers; the deadline of what is stalled. */
const OPTIONS = { port: 0, limits: { writeTimeoutMs: TIMEOUT_MS }, healthCheckIntervalMs: 1e9 };

/** An echo for workers and one at an endpoint. */
async function startServer(): Promise<{ server: Child; port: number; base: number }> {
  // V8's young generation grows by 30 MiB under any load, once in a process's life; this is about what a peer costs.
  const server = new Child({ env: { NODE_OPTIONS: "--max-semi-space-size=1" } });
  const { port, base } = await server.run(
    async ({ WorkerServer, state, memory, register, once }, options) => {
      const server = (state.server = new WorkerServer(options));
      server.onWorkerMessage("echo", ({ id }: { id: string }, message: unknown) => server.send(id, message));
      server.addWebSocketEndpoint("/echo", (ws) => {
        ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
      });
      await server.start();
      // Whatever is made on first use is there.
      const worker = await register(server.port, "first");
      worker.close();
      await once(worker, "close");
      (globalThis as any).gc();
      return { port: server.port, base: memory().now };
    },
    OPTIONS,
  );
  await server.run(({ memory }) => memory());
  return { server, port, base };
}

async function expectBounded(server: Child, base: number): Promise<void> {
  const { most } = await server.run(({ memory }) => memory());
  expectAtMost("memory grew by", (most - base) / MIB, MOST_MIB, "MiB");
  expect(await connections(server)).toBe(0);
}

/** WebSockets that the server still has, once those that are about to end have ended. */
function connections(server: Child): Promise<number> {
  return server.run(async ({ state, pause }) => {
    for (let look = 0; look < 100 && state.server.stats().connections > 0; look++) await pause(20);
    return state.server.stats().connections;
  });
}

type Act = (scope: ChildScope, socket: any) => Promise<unknown>;

interface Flooders {
  readonly path?: string;
  /** Whether they are registered workers. */
  readonly registered?: boolean;
  readonly count?: number;
}

/** Has each of the flooders, in a process of their own, do it; the codes with which they are closed. */
function flood(
  port: number,
  act: Act,
  { path = "/ws", registered = false, count = FLOODERS }: Flooders = {},
): Promise<number[]> {
  return new Child().run(
    async (scope, { port, act, path, registered, count }) => {
      const { WebSocket, register, closeOf, once } = scope;
      const run = new Function(`return (${act});`)();
      const flooders = Array.from({ length: count }, async (_, index) => {
        const socket = registered
          ? await register(port, `flooder-${index}`)
          : new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false });
        socket.on("error", () => {});
        if (!registered) await once(socket, "open");
        const closed = closeOf(socket);
        await run(scope, socket);
        return closed;
      });
      return Promise.all(flooders);
    },
    { port, act: act.toString(), path, registered, count },
  );
}

function all(code: number, count = FLOODERS): number[] {
  return Array(count).fill(code);
}

const FRAGMENTS: [string, number, Flooders, Act][] = [
  [
    "of one byte",
    1008,
    { registered: true },
    async ({ pour, frameHead }, socket) => {
      await pour(socket, Buffer.concat([frameHead(1, 1, false), Buffer.from("x")]), 1);
      const fragment = Buffer.concat([frameHead(0, 1, false), Buffer.from("x")]);
      await pour(socket, Buffer.concat(Array(100).fill(fragment)), 1_000);
    },
  ],
  [
    "that are empty",
    1008,
    { registered: true },
    async ({ pour, frameHead }, socket) => {
      await pour(socket, frameHead(1, 0, false), 1);
      await pour(socket, Buffer.concat(Array(100).fill(frameHead(0, 0, false))), 1_000);
    },
  ],
  [
    "of 16 KiB without an end, before registration",
    1009,
    {},
    async ({ pour, frameHead }, socket) => {
      await pour(socket, frameHead(1, 0, false), 1);
      const fragment = Buffer.concat([frameHead(0, 16_384, false), Buffer.alloc(16_384, "x")]);
      await pour(socket, fragment, 1_000);
    },
  ],
];

test.each(FRAGMENTS)(
  "a flood of fragments %s is closed with %i and costs less than 50 MiB",
  async (_what, code, who, act) => {
    const { server, port, base } = await startServer();

    expect(await flood(port, act, who)).toEqual(all(code));

    await expectBounded(server, base);
  },
);

/** They write without end and never read; what they are dropped for is that. */
const UNREAD: [string, Flooders, Act][] = [
  [
    "pings whose pongs are not read",
    { registered: true },
    ({ pour, frameHead }, socket) => {
      socket._socket.pause();
      const ping = Buffer.concat([frameHead(9, 125), Buffer.alloc(125, "x")]);
      return pour(socket, Buffer.concat(Array(100).fill(ping)), 1e9);
    },
  ],
  [
    "pings whose pongs are not read at an endpoint",
    { path: "/echo" },
    ({ pour, frameHead }, socket) => {
      socket._socket.pause();
      const ping = Buffer.concat([frameHead(9, 125), Buffer.alloc(125, "x")]);
      return pour(socket, Buffer.concat(Array(100).fill(ping)), 1e9);
    },
  ],
  [
    "heartbeats whose acknowledgements are not read",
    { registered: true, count: 1 },
    ({ pour, frameHead }, socket) => {
      socket._socket.pause();
      const beat = Buffer.from('{"type":"heartbeat","workerId":"flooder-0","timestamp":"now"}');
      const frame = Buffer.concat([frameHead(1, beat.length), beat]);
      return pour(socket, Buffer.concat(Array(100).fill(frame)), 1e9);
    },
  ],
  [
    "messages whose echo is not read",
    { registered: true, count: 2 },
    ({ pour, frameHead }, socket) => {
      socket._socket.pause();
      const echo = Buffer.from(JSON.stringify({ type: "echo", payload: "x".repeat(10_000) }));
      return pour(socket, Buffer.concat([frameHead(1, echo.length), echo]), 1e9);
    },
  ],
  [
    "messages whose echo is not read at an endpoint",
    { path: "/echo", count: 2 },
    ({ pour, frameHead }, socket) => {
      socket._socket.pause();
      return pour(socket, Buffer.concat([frameHead(2, 16_384), Buffer.alloc(16_384, "x")]), 1e9);
    },
  ],
];

test.each(UNREAD)(
  "a flood of %s costs less than 50 MiB and is dropped, at the deadline at the latest",
  async (_what, who, act) => {
    const { server, port, base } = await startServer();
    const began = performance.now();

    expect(await flood(port, act, who)).toEqual(all(1006, who.count));

    note("dropped after", (performance.now() - began) / 1_000, "", "s");
    await expectBounded(server, base);
  },
);

describe("ten frames that announce 90 MiB and stall", () => {
  const COUNT = 10;
  const announce: Act = ({ pour, frameHead }, socket) =>
    pour(socket, Buffer.concat([frameHead(1, 90 * 1024 * 1024), Buffer.alloc(60_000, "x")]), 1);

  test("are closed with 1009 at once before registration, and cost less than 50 MiB", async () => {
    const { server, port, base } = await startServer();

    expect(await flood(port, announce, { count: COUNT })).toEqual(all(1009, COUNT));

    await expectBounded(server, base);
  });

  test("cost a registered worker what has come of them, and are closed with 1008 at the deadline", async () => {
    const { server, port, base } = await startServer();
    const stall: Act = ({ pour, frameHead }, socket) =>
      pour(socket, Buffer.concat([frameHead(1, 90 * 1024 * 1024), Buffer.alloc(2 * 1024 * 1024, "x")]), 1);

    expect(await flood(port, stall, { registered: true, count: COUNT })).toEqual(all(1008, COUNT));

    await expectBounded(server, base);
  });

  test("cost no more than 256 MiB and one of them when all but their last bytes have come, and leave nothing", async () => {
    const { server, port, base } = await startServer();
    const stall: Act = async ({ pour, frameHead }, socket) => {
      await pour(socket, frameHead(1, 90 * 1024 * 1024), 1);
      await pour(socket, Buffer.alloc(1024 * 1024, "x"), 89);
    };

    const codes = await flood(port, stall, { registered: true, count: COUNT });

    // Those that are in the way of others are given up, the rest meets its own deadline.
    expect(codes.filter((code) => code !== 1008 && code !== 1013)).toEqual([]);
    expect(codes).toContain(1013);
    const { most } = await server.run(({ memory }) => memory());
    expectAtMost("memory grew by", (most - base) / MIB, 256 + 90 + MOST_MIB, "MiB");
    expect(await connections(server)).toBe(0);
    const { now } = await server.run(({ memory }) => memory());
    expectAtMost("memory afterwards has grown by", (now - base) / MIB, MOST_MIB, "MiB");
  });

  test("a message of a registered worker that goes on, however slowly, is not closed", async () => {
    const { server, port } = await startServer();
    const slow: Act = async ({ pour, frameHead, pause }, socket) => {
      const text = JSON.stringify({ type: "slow", payload: "x".repeat(2 * 1024 * 1024) });
      await pour(socket, Buffer.concat([frameHead(1, text.length), Buffer.from(text.slice(0, -5))]), 1);
      for (const last of text.slice(-5)) {
        await pause(500);
        await pour(socket, Buffer.from(last), 1);
      }
      socket.close(4000);
    };

    expect(await flood(port, slow, { registered: true, count: 1 })).toEqual([4000]);

    expect(await connections(server)).toBe(0);
  });
});
