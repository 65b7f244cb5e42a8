import { connect } from "node:net";
import { once } from "node:events";
import { WebSocket } from "ws";
import { exchange, readUntil, upgradeRequest } from "../support/raw-connection";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const SWITCHING = "HTTP/1.1 101 Switching Protocols";

/** An upgrade whose head has exactly so many bytes. */
function ofBytes(bytes: number): string {
  const without = upgradeRequest({ "X-Padding": "" });
  return upgradeRequest({ "X-Padding": "x".repeat(bytes - without.length) });
}

/** An upgrade whose head has so many header lines. */
function ofLines(count: number): string {
  const padding = Object.fromEntries(Array.from({ length: count - 5 }, (_, n) => [`X-${n}`, "x"]));
  return upgradeRequest(padding);
}

const EDGES: [limit: string, limits: Record<string, number>, most: number, of: (size: number) => string][] = [
  ["16 KiB", {}, 16_384, ofBytes],
  ["maxRequestHeadBytes", { maxRequestHeadBytes: 500 }, 500, ofBytes],
  ["2,000 lines", { maxRequestHeadBytes: 64_000 }, 2_000, ofLines],
  ["maxRequestHeaders", { maxRequestHeaders: 9 }, 9, ofLines],
];

describe.each(EDGES)("a worker's request head of up to %s", (_what, limits, most, of) => {
  test.each([most - 1, most])("is the native side's: %i", async (size) => {
    const { server, port } = await startServer({ limits });

    const { socket } = await readUntil(port, of(size), SWITCHING);

    await until(() => server.stats().connections === 1, "it is a worker's connection");
    socket.destroy();
  });

  test("and beyond is Node's, which makes no worker of it", async () => {
    const { server, port } = await startServer({ limits });

    // A refusal, or a WebSocket that is closed at once.
    const socket = connect(port, "127.0.0.1");
    socket.write(of(most + 1));
    const [answer] = await once(socket, "data");
    socket.destroy();

    expect(String(answer)).toMatch(/^HTTP\/1\.1 (101|400|431) /);
    expect(server.stats().connections).toBe(0);
  });
});

describe("requestHeadTimeoutMs", () => {
  const limits = { requestHeadTimeoutMs: 300 };
  const LATE = "Request did not arrive in time";

  test.each([
    ["nothing", ""],
    ["half a head", "GET /ws HTTP/1.1\r\nHost: x\r\n"],
  ])("answers %s with 408, counts and logs it", async (_what, bytes) => {
    const { server, port, logger } = await startServer({ limits });
    const start = performance.now();

    expect((await exchange(port, bytes)).status).toBe(408);

    expect(performance.now() - start).toBeGreaterThan(250);
    expect(server.stats().requestHeadTimeouts).toBe(1);
    await until(() => logger.of(LATE).length > 0, "it is logged");
    expect(logger.of(LATE)).toEqual([{ level: "warn", message: LATE, rest: [] }]);
  });

  test("is nothing to a head that comes in time, however slowly", async () => {
    const { server, port } = await startServer({ limits });
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.setNoDelay(true);
    let text = "";
    socket.on("data", (chunk) => (text += chunk));

    for (const line of upgradeRequest().split(/(?<=\n)/)) {
      socket.write(line);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => text.includes(SWITCHING), "the head is answered");

    expect(server.stats().requestHeadTimeouts).toBe(0);
    socket.destroy();
  });
});

describe("stop({ timeoutMs })", () => {
  test("drops what lingers when it is over, and not before", async () => {
    const { server, port } = await startServer();
    const lingering = await TestWorker.connect(port);
    // So that it does not answer the close frame.
    lingering.socket.pause();
    const start = performance.now();

    await server.stop({ timeoutMs: 300 });

    expect(performance.now() - start).toBeGreaterThan(250);
    lingering.socket.resume();
    expect((await lingering.closed).code).toBeGreaterThan(1000);
  });

  test("does not wait for it when nothing lingers", async () => {
    const { server, port } = await startServer();
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(socket, "open");
    socket.terminate();

    await server.stop({ timeoutMs: Infinity });

    expect(server.stats().connections).toBe(0);
  });
});
