import type { WorkerServer } from "../../index.js";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const KIB = "x".repeat(1024);
const MIB = KIB.repeat(1024);
const DROPPED = "Worker does not read, message dropped";

/** Sends until what the system takes for a worker that does not read is full and something stays in its outbox. */
async function fillSystem(server: WorkerServer, workerId: string): Promise<void> {
  await until(() => {
    server.send(workerId, { text: MIB });
    return server.stats().outboxBytes > MIB.length;
  }, "the system takes no more");
}

describe("maxOutboxBytes", () => {
  const limits = { maxOutboxBytes: 2_000_000, writeTimeoutMs: Infinity };

  // The very edge is tested where no system takes bytes meanwhile, in crates/worker-server/src/outbox.rs.
  test("is never exceeded, and what is refused is counted and logged once", async () => {
    const { server, port, logger } = await startServer({ limits });
    const worker = await TestWorker.register(port);
    worker.socket.pause();
    const frame = 4 + JSON.stringify({ text: KIB }).length;
    let refused = 0;
    let most = 0;

    await until(() => {
      for (let n = 0; n < 100; n++) if (!server.send("worker-1", { text: KIB })) refused++;
      most = Math.max(most, server.stats().outboxBytes);
      return refused >= 200;
    }, "sends are refused");

    expect(most).toBeLessThanOrEqual(limits.maxOutboxBytes);
    expect(most).toBeGreaterThan(limits.maxOutboxBytes / 2);
    expect(server.stats()).toMatchObject({ sendsRefused: refused, bytesDropped: refused * frame });
    await until(() => logger.of(DROPPED).length > 0, "the drop is logged");
    expect(logger.of(DROPPED)).toHaveLength(1);
  });

  test("is 16 MiB by default", async () => {
    const { server, port } = await startServer({ limits: { writeTimeoutMs: Infinity } });
    const worker = await TestWorker.register(port);
    worker.socket.pause();

    await until(() => !server.send("worker-1", { text: MIB }), "the outbox is full", 20_000);

    const { outboxBytes } = server.stats();
    expect(outboxBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(outboxBytes).toBeGreaterThan(14 * 1024 * 1024);
  });

  test("does not apply to an empty outbox", async () => {
    const { server, port } = await startServer({ limits: { maxOutboxBytes: 0 } });
    const worker = await TestWorker.register(port);

    expect(server.send("worker-1", { text: MIB })).toBe(true);

    expect((await worker.next()).text).toBe(MIB);
  });

  test("holds for broadcasts, which log the worker once as well", async () => {
    const { server, port, logger } = await startServer({ limits });
    const stuck = await TestWorker.register(port);
    const reading = await TestWorker.register(port, { workerId: "reading" });
    stuck.socket.pause();
    await fillSystem(server, "worker-1");

    for (let n = 0; server.stats().sendsRefused < 3; n++) {
      server.broadcast({ n, text: MIB });
      expect((await reading.next()).n).toBe(n);
    }

    await until(() => logger.of(DROPPED).length > 0, "the drop is logged");
    expect(logger.of(DROPPED)).toEqual([
      { level: "warn", message: DROPPED, rest: [{ workerId: "worker-1" }] },
    ]);
  });
});

describe("maxTotalOutboxBytes", () => {
  test("is shared by all workers", async () => {
    const limits = { maxTotalOutboxBytes: 3_000_000, writeTimeoutMs: Infinity };
    const { server, port, logger } = await startServer({ limits });
    const ids = ["a", "b"];
    for (const workerId of ids) (await TestWorker.register(port, { workerId })).socket.pause();
    await until(() => !server.send("a", { text: KIB.repeat(100) }), "the total is full");

    expect(server.send("b", { text: KIB.repeat(200) })).toBe(false);

    expect(server.stats().outboxBytes).toBeLessThanOrEqual(limits.maxTotalOutboxBytes);
    await until(() => logger.of(DROPPED).length === 2, "each worker is logged once");
    expect(logger.of(DROPPED).map(({ rest }) => rest)).toEqual(ids.map((workerId) => [{ workerId }]));
  });
});

describe("writeTimeoutMs", () => {
  const limits = { writeTimeoutMs: 400 };

  test("drops a worker that takes nothing of what waits for it", async () => {
    const { server, port, logger } = await startServer({ limits });
    const stuck = await TestWorker.register(port);
    stuck.socket.pause();

    // The system takes something for it now and then, until it is full.
    await until(() => {
      server.send("worker-1", { text: KIB });
      return server.getWorkerCount() === 0;
    }, "the worker is dropped");

    expect(server.stats()).toMatchObject({ writeTimeouts: 1, outboxBytes: 0, connections: 0 });
    expect(server.stats().bytesDropped).toBeGreaterThan(0);
    expect(logger.of("Worker WebSocket error").map(({ rest }) => rest)).toEqual([
      [{ error: "The peer does not read" }],
    ]);
    expect(logger.of("Worker disconnected").map(({ rest }) => rest)).toEqual([
      [{ workerId: "worker-1", code: 1006, reason: "" }],
    ]);
  });

  test("does not drop one that takes a little now and then", async () => {
    const { server, port } = await startServer({ limits });
    const slow = await TestWorker.register(port);
    slow.socket.pause();
    await fillSystem(server, "worker-1");

    for (let sip = 0; sip < 8; sip++) {
      const before = server.stats().outboxBytes;
      slow.socket.resume();
      await until(() => server.stats().outboxBytes !== before || before === 0, "it takes something");
      slow.socket.pause();
    }

    expect(server.stats()).toMatchObject({ writeTimeouts: 0, connections: 1 });
    slow.socket.resume();
    await slow.roundTrip();
  });
});
