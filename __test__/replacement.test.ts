import type { WorkerInfo, WorkerServer } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { recordEvents } from "./support/events";
import { RecordingLogger, startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const REPLACED = { code: 4003, reason: "Replaced by new connection" };
const UNREGISTERED_CLOSED = "Unregistered WebSocket connection closed";

interface Replacement {
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  old: TestWorker & { ack: any };
}

/** A server with one worker whose id another connection is about to take. */
async function oneWorker(pending: string[] = []): Promise<Replacement> {
  const { server, port, logger } = await startServer();
  const old = await TestWorker.register(port);
  for (const requestId of pending) server.trackRequest("worker-1", requestId, "inference");
  return { server, port, logger, old };
}

function oldSocketReported(logger: RecordingLogger): Promise<void> {
  return until(() => logger.of(UNREGISTERED_CLOSED).length > 0, "the old socket's end is logged");
}

describe("a registration with the id of a connected worker", () => {
  test('closes the old socket with 4003 "Replaced by new connection"', async () => {
    const { port, old } = await oneWorker();

    await TestWorker.register(port);

    expect(await old.closed).toStrictEqual(REPLACED);
  });

  test("leaves one worker, the new one, with a session of its own", async () => {
    const { server, port, old } = await oneWorker();

    const fresh = await TestWorker.register(port, { workerName: "Newcomer" });

    expect(server.getWorkerCount()).toBe(1);
    expect(fresh.ack.sessionId).not.toBe(old.ack.sessionId);
    expect(server.getWorkerInfo()[0]).toMatchObject({
      sessionId: fresh.ack.sessionId,
      name: "Newcomer",
    });
  });

  test("directs messages to the new socket", async () => {
    const { server, port, old } = await oneWorker();
    const fresh = await TestWorker.register(port);

    server.send("worker-1", { type: "work" });

    expect(await fresh.next()).toStrictEqual({ type: "work" });
    await old.closed;
    expect(old.unread).toBe(0);
  });

  test("starts with fresh counters and sets", async () => {
    const { server, port } = await oneWorker(["request-1"]);
    const before = server.getWorkerInfo()[0]!;

    await TestWorker.register(port);

    const after = server.getWorkerInfo()[0]!;
    expect(after).toMatchObject({ activeRequests: 0, completedRequests: 0, status: "available" });
    expect([...after.pendingRequestIds, ...after.categoryActiveRequests]).toStrictEqual([]);
    expect(after.pendingRequestIds).not.toBe(before.pendingRequestIds);
  });

  test("moves the id to the end of the order", async () => {
    const { server, port } = await oneWorker();
    await TestWorker.register(port, { workerId: "worker-2" });

    await TestWorker.register(port);

    expect(server.getWorkerInfo().map((info) => info.id)).toStrictEqual(["worker-2", "worker-1"]);
    expect(server.getAvailableWorker("sonnet-3.5")?.id).toBe("worker-2");
  });

  test("runs the connected handlers again", async () => {
    const { server, port } = await oneWorker();
    const { connected } = recordEvents(server);

    const fresh = await TestWorker.register(port);

    expect(connected.map((info) => info.sessionId)).toStrictEqual([fresh.ack.sessionId]);
  });
});

describe("replacing a worker without pending requests", () => {
  test("runs no disconnected handler, not even when the old socket ends", async () => {
    const { server, port, logger } = await oneWorker();
    const { disconnected } = recordEvents(server);

    await TestWorker.register(port);
    await oldSocketReported(logger);

    expect(disconnected).toStrictEqual([]);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("logs the replacement, the registration and the old socket's end, in that order", async () => {
    const { port, logger } = await oneWorker();
    logger.lines.length = 0;

    await TestWorker.register(port);
    await oldSocketReported(logger);

    expect(logger.lines).toStrictEqual([
      { level: "debug", message: "New WebSocket connection from potential worker", rest: [] },
      {
        level: "debug",
        message: "Replacing existing worker connection",
        rest: [{ workerId: "worker-1" }],
      },
      { level: "debug", message: "Worker registered", rest: [expect.anything()] },
      { level: "debug", message: UNREGISTERED_CLOSED, rest: [REPLACED] },
    ]);
  });
});

describe("replacing a worker with pending requests", () => {
  /** What `observe` saw in the disconnected handler that the replacement runs. */
  async function duringReplacement<T>(
    observe: (server: WorkerServer, info: WorkerInfo, pending: ReadonlySet<string>) => T,
    requestIds = ["request-1", "request-2"],
  ): Promise<T[]> {
    const { server, port } = await oneWorker(requestIds);
    const seen: T[] = [];
    server.onWorkerDisconnected((info, pending) => seen.push(observe(server, info, pending)));
    await TestWorker.register(port);
    return seen;
  }

  test("runs the disconnected handlers with the old info and its pending requests", async () => {
    const seen = await duringReplacement((_server, info, pending) => ({
      id: info.id,
      active: info.activeRequests,
      pending: [...pending],
    }));

    expect(seen).toStrictEqual([{ id: "worker-1", active: 2, pending: ["request-1", "request-2"] }]);
  });

  test("does so before the connected handlers", async () => {
    const { server, port } = await oneWorker(["request-1"]);
    const order: string[] = [];
    server.onWorkerConnected(() => order.push("connected"));
    server.onWorkerDisconnected(() => order.push("disconnected"));

    await TestWorker.register(port);

    expect(order).toStrictEqual(["disconnected", "connected"]);
  });

  test("does so while the old worker is still in the pool, but cannot be sent to", async () => {
    const seen = await duringReplacement((server, info) => ({
      count: server.getWorkerCount(),
      sameSession: server.getWorkerInfo()[0]?.sessionId === info.sessionId,
      sent: server.send(info.id, { type: "too late" }),
    }));

    expect(seen).toStrictEqual([{ count: 1, sameSession: true, sent: false }]);
  });

  test("hands out the live set, the one in the info", async () => {
    const seen = await duringReplacement((_server, info, pending) => {
      return pending === info.pendingRequestIds;
    });

    expect(seen).toStrictEqual([true]);
  });

  test("lets a handler release requests, which shrinks the set", async () => {
    const seen = await duringReplacement((server, _info, pending) => {
      server.releaseRequest("request-1");
      return [...pending];
    });

    expect(seen).toStrictEqual([["request-2"]]);
  });

  test("warns with the number of pending requests before the handlers run", async () => {
    const { server, port, logger } = await oneWorker(["request-1", "request-2"]);
    const linesBeforeHandler: string[] = [];
    server.onWorkerDisconnected(() => {
      linesBeforeHandler.push(...logger.lines.map((line) => line.message));
    });

    await TestWorker.register(port);

    expect(linesBeforeHandler.slice(-2)).toStrictEqual([
      "Replacing existing worker connection",
      "Replaced worker had pending requests",
    ]);
    expect(logger.of("Replaced worker had pending requests")).toStrictEqual([
      {
        level: "warn",
        message: "Replaced worker had pending requests",
        rest: [{ workerId: "worker-1", count: 2 }],
      },
    ]);
  });

  test("runs the handlers once only: the old socket's end adds nothing", async () => {
    const { server, port, logger } = await oneWorker(["request-1"]);
    const { disconnected } = recordEvents(server);

    await TestWorker.register(port);
    await oldSocketReported(logger);

    expect(disconnected).toHaveLength(1);
    expect(logger.of("Worker disconnected")).toStrictEqual([]);
  });

  test("survives a handler that throws", async () => {
    const { server, port, logger } = await oneWorker(["request-1"]);
    server.onWorkerDisconnected(() => {
      throw new Error("handler broke");
    });

    const fresh = await TestWorker.register(port);

    expect(server.getWorkerInfo()[0]?.sessionId).toBe(fresh.ack.sessionId);
    expect(logger.of("Error in disconnected handler")).toStrictEqual([
      {
        level: "error",
        message: "Error in disconnected handler",
        rest: [{ error: "handler broke" }],
      },
    ]);
  });
});

test('what a replaced socket still sends comes from "unknown"', async () => {
  const { server, port } = await startServer();
  const senders: string[] = [];
  server.onWorkerMessage("report", (worker) => senders.push(worker.id));
  const old = await TestWorker.register(port);
  // The old worker does not read, so that it goes on sending after it was told to close.
  old.socket.pause();
  const fresh = await TestWorker.register(port);

  old.send({ type: "report" });
  await until(() => senders.length > 0, "the report of the old socket is delivered");
  fresh.send({ type: "report" });
  await handledSoFar(server, fresh);

  expect(senders).toStrictEqual(["unknown", "worker-1"]);
});

test("two takers of one id in a row leave the last one", async () => {
  const { server, port, old } = await oneWorker();

  const second = await TestWorker.register(port);
  const third = await TestWorker.register(port);

  expect(await Promise.all([old.closed, second.closed])).toStrictEqual([REPLACED, REPLACED]);
  expect(server.getWorkerInfo().map((info) => info.sessionId)).toStrictEqual([third.ack.sessionId]);
});

test("of many takers at once exactly one remains, and it can be sent to", async () => {
  const { server, port } = await startServer();
  const takers = await Promise.all(Array.from({ length: 20 }, () => TestWorker.connect(port)));

  for (const taker of takers) taker.send(registration());
  const acks = await Promise.all(takers.map((taker) => taker.next()));
  const [info, ...others] = server.getWorkerInfo();
  const winner = acks.findIndex((ack) => ack.sessionId === info?.sessionId);
  const losers = takers.filter((_taker, n) => n !== winner);
  const ends = await Promise.all(losers.map((loser) => loser.closed));

  expect(others).toStrictEqual([]);
  expect(ends).toStrictEqual(Array(19).fill(REPLACED));
  expect(server.send("worker-1", { type: "work" })).toBe(true);
  expect(await takers[winner]?.next()).toStrictEqual({ type: "work" });
});

describe("the same id again over the same socket", () => {
  test("closes that socket with 4003 and the ack is lost", async () => {
    const { old } = await oneWorker();

    old.send(registration());

    expect(await old.closed).toStrictEqual(REPLACED);
    expect(old.unread).toBe(0);
  });

  test("calls the connected handlers again and, on the close, the disconnected ones", async () => {
    const { server, old } = await oneWorker();
    const { connected, disconnected } = recordEvents(server);

    old.send(registration());
    await until(() => disconnected.length > 0, "the close removes the worker");

    expect(connected).toHaveLength(1);
    expect(disconnected.map(({ info }) => info.sessionId)).toStrictEqual([connected[0]?.sessionId]);
    expect(server.getWorkerCount()).toBe(0);
  });
});
