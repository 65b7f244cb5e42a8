import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Program } from "../support/program";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(async () => {
  await Program.endAll();
  await stopServers();
});

describe("maxConnections", () => {
  const REFUSED = "Connection refused, there are too many";

  /** A connection that is closed before it says a word. */
  async function refused(port: number): Promise<void> {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    await once(socket, "close");
  }

  test("below and at it connections are served, above it they are closed at once", async () => {
    const { server, port, logger } = await startServer({ limits: { maxConnections: 3 } });
    const worker = await TestWorker.register(port);
    await TestWorker.connect(port);
    // Whatever it is for.
    const plain: Socket = connect(port, "127.0.0.1");
    await until(() => server.stats().connectionsAccepted === 3, "all three are accepted");
    expect(server.stats().connectionsRefused).toBe(0);

    for (let n = 0; n < 20; n++) await refused(port);

    expect(server.stats()).toMatchObject({ connectionsAccepted: 3, connectionsRefused: 20 });
    await worker.roundTrip();
    await until(() => logger.of(REFUSED).length > 0, "it is logged");
    // Once a second at most.
    expect(logger.of(REFUSED).length).toBeLessThan(10);
    expect(logger.of(REFUSED)[0]).toEqual({ level: "warn", message: REFUSED, rest: [] });
    plain.destroy();
  });

  test("counts those that are there: when one leaves there is room", async () => {
    const { server, port } = await startServer({ limits: { maxConnections: 1 } });
    const first = await TestWorker.register(port);
    await refused(port);
    await first.close();
    await until(() => server.stats().connections === 0, "the first is gone");

    let second: TestWorker | undefined;
    // The task of the first connection ends a moment after the connection.
    while (second === undefined) second = await TestWorker.register(port).catch(() => undefined);

    expect(server.getWorkerCount()).toBe(1);
  });
});

/** Runs itself with few file descriptors, connects until the system gives no more, lets go, and connects again. */
const OUT_OF_DESCRIPTORS = `
const { spawn } = require("node:child_process");
const { connect } = require("node:net");
const { WorkerServer } = require("worker-server-native");

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function main() {
  const lines = [];
  const log = (message, context) => lines.push([message, context?.error]);
  const logger = { debug() {}, info() {}, warn: log, error: log };
  const server = new WorkerServer({ port: 0, logger });
  await server.start();
  const held = [];
  // One descriptor for each end; the system completes connections that nobody has accepted.
  while (server.stats().acceptsFailed === 0) {
    const socket = connect(server.port, "127.0.0.1").on("error", () => {});
    held.push(socket);
    await until(() => !socket.connecting);
  }
  const { connectionsAccepted } = server.stats();
  await until(() => server.stats().acceptsFailed > 2 && lines.length > 0);
  for (const socket of held) socket.destroy();
  const start = performance.now();
  connect(server.port, "127.0.0.1");
  await until(() => server.stats().connectionsAccepted > connectionsAccepted);
  console.log(JSON.stringify({ recoveredMs: performance.now() - start, lines }));
  process.exit();
}

if (process.env.FEW) main();
else {
  const env = { ...process.env, FEW: "1" };
  const command = 'ulimit -n 80 && exec "$0" "$1"';
  spawn("sh", ["-c", command, process.execPath, __filename], { env, stdio: "inherit" });
}
`;

test("a failed accept is counted, logged and tried again", async () => {
  const program = Program.startScript(OUT_OF_DESCRIPTORS);

  const { code, stderr } = await program.ended;

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { recoveredMs, lines } = JSON.parse(program.lines[0]!);
  expect(recoveredMs).toBeLessThan(1_000);
  expect(lines[0][0]).toBe("Connection could not be accepted");
  expect(lines[0][1]).toMatch(/open files/);
});
