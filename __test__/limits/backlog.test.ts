import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { WorkerServer } from "../../index.js";
import { startServer, stopServers } from "../support/test-server";
import { until } from "../support/until";

const floods: Worker[] = [];

afterEach(async () => {
  await Promise.all(floods.splice(0).map((thread) => thread.terminate()));
  await stopServers();
});

const MESSAGE_BYTES = 1_000;
/** What counts for a message besides its text, and what is read at once. */
const ALLOWANCE_BYTES = 1.3;
const READ_BYTES = 64 * 1024;
const SHARE_BYTES = 16 * 1024;

/** Registers workers "w-0", "w-1"... on a thread of its own, and when told has each send so many messages. */
const FLOOD = `
const { parentPort, workerData: { port, workers, messages, bytes } } = require("node:worker_threads");
const { WebSocket } = require("ws");
const capabilities = { models: [], maxConcurrentRequests: 1 };
let registered = 0;
for (let w = 0; w < workers; w++) {
  const socket = new WebSocket("ws://127.0.0.1:" + port);
  socket.on("error", () => {});
  socket.once("open", () => {
    const registration = { type: "worker_registration", workerId: "w-" + w, workerName: "W", capabilities };
    socket.send(JSON.stringify(registration));
  });
  socket.once("message", () => {
    if (++registered === workers) parentPort.postMessage("registered");
  });
  parentPort.on("message", () => {
    for (let n = 0; n < messages; n++) {
      const message = { type: "flood", n, text: "" };
      message.text = "x".repeat(bytes - JSON.stringify(message).length);
      socket.send(JSON.stringify(message));
    }
  });
}
parentPort.setMaxListeners(0);
`;

async function flood(port: number, workers: number, messages: number): Promise<Worker> {
  const workerData = { port, workers, messages, bytes: MESSAGE_BYTES };
  const thread = new Worker(FLOOD, { eval: true, workerData });
  floods.push(thread);
  await once(thread, "message");
  return thread;
}

function begin(thread: Worker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A thread has no origin.
  thread.postMessage("begin");
}

/** Blocks this thread until the server has stopped reading that many connections. */
function blockUntilPaused(server: WorkerServer, pauses: number): void {
  const deadline = performance.now() + 10_000;
  while (server.stats().backlogPauses < pauses) {
    if (performance.now() > deadline) throw new Error("never happened: connections are paused");
  }
}

/** Floods a blocked event loop; returns the backlog at its height, when all that came has been handled in order. */
async function floodBlocked(
  limits: Record<string, number>,
  workers: number,
  messages: number,
): Promise<{ server: WorkerServer; backlogBytes: number }> {
  const { server, port } = await startServer({ limits });
  const next = new Map<string, number>();
  let inOrder = 0;
  server.onWorkerMessage("flood", ({ id }, { n }) => {
    if (n === (next.get(id) ?? 0)) inOrder++;
    next.set(id, n + 1);
  });
  const thread = await flood(port, workers, messages);
  begin(thread);
  blockUntilPaused(server, workers);
  const { backlogBytes } = server.stats();
  await until(() => inOrder === workers * messages, "all messages are handled, in order");
  return { server, backlogBytes };
}

test("maxBacklogBytes bounds what one worker may have waiting", async () => {
  const limits = { maxBacklogBytes: 200_000 };

  const { server, backlogBytes } = await floodBlocked(limits, 1, 10_000);

  expect(backlogBytes).toBeGreaterThan(limits.maxBacklogBytes - SHARE_BYTES);
  expect(backlogBytes).toBeLessThan(limits.maxBacklogBytes + READ_BYTES * ALLOWANCE_BYTES);
  expect(server.stats()).toMatchObject({ backlogBytes: 0, connections: 1 });
});

test("maxTotalBacklogBytes bounds what all may have waiting", async () => {
  const limits = { maxTotalBacklogBytes: 500_000 };
  const WORKERS = 10;

  const { server, backlogBytes } = await floodBlocked(limits, WORKERS, 2_000);

  expect(backlogBytes).toBeGreaterThan(limits.maxTotalBacklogBytes);
  expect(backlogBytes).toBeLessThan(limits.maxTotalBacklogBytes + WORKERS * READ_BYTES * ALLOWANCE_BYTES);
  expect(server.stats()).toMatchObject({ backlogBytes: 0, connections: WORKERS });
});

test("below both nobody waits", async () => {
  const { server, port } = await startServer();
  let handled = 0;
  server.onWorkerMessage("flood", () => void handled++);
  const thread = await flood(port, 5, 200);

  begin(thread);
  await until(() => handled === 1_000, "all messages are handled");

  expect(server.stats().backlogPauses).toBe(0);
});

test("who waits is not blamed for its silence", async () => {
  const { server, port, logger } = await startServer({
    limits: { maxBacklogBytes: 10_000, pingIntervalMs: 100 },
    heartbeatTimeoutMs: 250,
    healthCheckIntervalMs: 20,
  });
  let handled = 0;
  server.onWorkerMessage("flood", () => void handled++);
  const thread = await flood(port, 1, 10_000);
  begin(thread);
  blockUntilPaused(server, 1);

  // Longer than any patience with a worker that is read.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
  await until(() => handled === 10_000, "all messages are handled");

  expect(server.stats()).toMatchObject({ pingTimeouts: 0, connections: 1 });
  expect(logger.of("Worker connection presumed dead, closing")).toEqual([]);
});
