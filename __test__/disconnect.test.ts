import type { WorkerInfo, WorkerServer } from "../index.js";
import { recordEvents } from "./support/events";
import { frame, writeRaw } from "./support/raw-connection";
import { RecordingLogger, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const DISCONNECTED = "Worker disconnected";
const UNREGISTERED_CLOSED = "Unregistered WebSocket connection closed";

interface OneWorker {
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  worker: TestWorker;
}

async function oneWorker(pending: string[] = []): Promise<OneWorker> {
  const { server, port, logger } = await startServer();
  const worker = await TestWorker.register(port);
  for (const requestId of pending) server.trackRequest("worker-1", requestId, "inference");
  return { server, port, logger, worker };
}

/** Returns when the worker is out of the pool and its disconnected handlers have run. */
async function gone({ server }: OneWorker): Promise<void> {
  await until(() => server.getWorkerCount() === 0, "the worker leaves the pool");
}

/** What `observe` sees in a disconnected handler when the worker leaves. */
async function atDisconnect<T>(
  pendingIds: string[],
  observe: (server: WorkerServer, info: WorkerInfo, pending: ReadonlySet<string>) => T,
): Promise<T> {
  const one = await oneWorker(pendingIds);
  const seen = new Promise<T>((resolve) => {
    one.server.onWorkerDisconnected((info, pending) => {
      resolve(observe(one.server, info, pending));
    });
  });
  await one.worker.close();
  return seen;
}

describe("the disconnect of a worker is logged with code and reason", () => {
  test("as the client sent them", async () => {
    const one = await oneWorker();

    await one.worker.close(4321, "bye, wörld");
    await gone(one);

    expect(one.logger.of(DISCONNECTED)).toStrictEqual([
      {
        level: "debug",
        message: DISCONNECTED,
        rest: [{ workerId: "worker-1", code: 4321, reason: "bye, wörld" }],
      },
    ]);
  });

  const context = (one: OneWorker) => one.logger.of(DISCONNECTED).map((line) => line.rest[0]);

  test("as 1000 and an empty reason for a normal close", async () => {
    const one = await oneWorker();

    await one.worker.close(1000);
    await gone(one);

    expect(context(one)).toStrictEqual([{ workerId: "worker-1", code: 1000, reason: "" }]);
  });

  test("as 1005 and an empty reason if the close frame has no code", async () => {
    const one = await oneWorker();

    one.worker.socket.close();
    await gone(one);

    expect(context(one)).toStrictEqual([{ workerId: "worker-1", code: 1005, reason: "" }]);
  });

  test("as 1006 and an empty reason without a closing handshake", async () => {
    const one = await oneWorker();

    await one.worker.terminate();
    await gone(one);

    expect(context(one)).toStrictEqual([{ workerId: "worker-1", code: 1006, reason: "" }]);
  });
});

describe("a protocol error of a worker", () => {
  const reserved = { reservedBits: 1 };
  const violations: [string, Buffer, number][] = [
    ["an unmasked frame", frame("text", "{}", { masked: false }), 1002],
    ["a reserved bit", frame("text", "{}", reserved), 1002],
    ["a fragmented ping", frame("ping", "", { fin: false }), 1002],
    ["a ping over 125 bytes", frame("ping", "x".repeat(126)), 1002],
    ["a continuation of nothing", frame("continuation", "x"), 1002],
    ["a close frame with half a code", frame("close", "x"), 1002],
    ["a close code that must not be sent", frame("close", Buffer.from([1005 >> 8, 1005 & 255])), 1002],
    ["text that is not UTF-8", frame("text", Buffer.from([0x7b, 0xff, 0x7d])), 1007],
  ];

  test.each(violations)("%s is answered with the close code", async (_case, bytes, code) => {
    const one = await oneWorker();

    writeRaw(one.worker, bytes);

    expect(await one.worker.closed).toStrictEqual({ code, reason: "" });
  });

  test("is logged as an error, then as a disconnect with 1006", async () => {
    const one = await oneWorker();
    one.logger.lines.length = 0;

    writeRaw(one.worker, frame("text", "{}", { masked: false }));
    await gone(one);

    expect(one.logger.lines).toStrictEqual([
      {
        level: "error",
        message: "Worker WebSocket error",
        rest: [{ error: expect.stringMatching(/\w/) }],
      },
      {
        level: "debug",
        message: DISCONNECTED,
        rest: [{ workerId: "worker-1", code: 1006, reason: "" }],
      },
    ]);
  });

  test("leaves the other workers alone", async () => {
    const one = await oneWorker();
    const other = await TestWorker.register(one.port, { workerId: "worker-2" });

    writeRaw(one.worker, frame("text", "{}", { masked: false }));
    await one.worker.closed;
    await until(() => one.server.getWorkerCount() === 1, "the offender leaves the pool");

    await other.roundTrip("worker-2");
    expect(one.server.getWorkerInfo()[0]?.id).toBe("worker-2");
  });
});

describe("the end of a socket that is no worker", () => {
  test("is logged with code and reason", async () => {
    const { port, logger } = await startServer();
    const socket = await TestWorker.connect(port);

    await socket.close(4000, "only looking");
    await until(() => logger.of(UNREGISTERED_CLOSED).length > 0, "the end is logged");

    expect(logger.of(UNREGISTERED_CLOSED)).toStrictEqual([
      {
        level: "debug",
        message: UNREGISTERED_CLOSED,
        rest: [{ code: 4000, reason: "only looking" }],
      },
    ]);
  });

  test("runs no disconnected handler", async () => {
    const { server, port, logger } = await startServer();
    const { disconnected } = recordEvents(server);
    const socket = await TestWorker.connect(port);

    await socket.terminate();
    await until(() => logger.of(UNREGISTERED_CLOSED).length > 0, "the end is logged");

    expect(disconnected).toStrictEqual([]);
    expect(logger.of(UNREGISTERED_CLOSED)[0]?.rest).toStrictEqual([{ code: 1006, reason: "" }]);
  });
});

describe("disconnected handlers", () => {
  test("get exactly info and pending, and no this", async () => {
    const one = await oneWorker(["request-1"]);
    const calls: { self: unknown; args: unknown[] }[] = [];
    one.server.onWorkerDisconnected(function (this: unknown, ...args) {
      calls.push({ self: this, args });
    });

    await one.worker.close();
    await gone(one);

    expect(calls).toStrictEqual([
      {
        self: undefined,
        args: [expect.objectContaining({ id: "worker-1" }), new Set(["request-1"])],
      },
    ]);
  });

  test("run when the pool no longer has the worker", async () => {
    const seen = await atDisconnect([], (server, info) => ({
      count: server.getWorkerCount(),
      listed: server.getWorkerInfo(),
      sent: server.send(info.id, { type: "too late" }),
    }));

    expect(seen).toStrictEqual({ count: 0, listed: [], sent: false });
  });

  test("get the status and counters the worker had at last", async () => {
    const ids = ["request-1", "request-2", "request-3", "request-4"];

    const info = await atDisconnect(ids, (_server, last) => last);

    expect(info).toMatchObject({ id: "worker-1", status: "busy", activeRequests: 4 });
    expect([...info.categoryActiveRequests]).toStrictEqual([["inference", 4]]);
  });

  test("get a copy of the pending requests; the info keeps the live set", async () => {
    const one = await oneWorker(["request-1"]);
    const live = one.server.getWorkerInfo()[0]!.pendingRequestIds;
    const { disconnected } = recordEvents(one.server);

    await one.worker.close();
    await gone(one);

    const [event] = disconnected;
    expect(event?.info.pendingRequestIds).toBe(live);
    expect(event?.pending).not.toBe(live);
    expect(event?.pending).toStrictEqual(new Set(["request-1"]));
    expect(event?.pending).toBeInstanceOf(Set);
  });

  test("share one copy and one info", async () => {
    const one = await oneWorker(["request-1"]);
    const first = recordEvents(one.server);
    const second = recordEvents(one.server);

    await one.worker.close();
    await gone(one);

    expect(first.disconnected).toHaveLength(1);
    expect(second.disconnected[0]?.pending).toBe(first.disconnected[0]?.pending);
    expect(second.disconnected[0]?.info).toBe(first.disconnected[0]?.info);
  });

  test("release nothing: the worker's requests are no longer known", async () => {
    const seen = await atDisconnect(["request-1"], (server, info, pending) => {
      server.releaseRequest("request-1", { incrementCompleted: true });
      return { pending: [...pending], live: [...info.pendingRequestIds] };
    });

    expect(seen).toStrictEqual({ pending: ["request-1"], live: ["request-1"] });
  });

  test("that throw are logged and the next one still runs", async () => {
    const one = await oneWorker();
    one.server.onWorkerDisconnected(() => {
      throw new Error("handler broke");
    });
    const { disconnected } = recordEvents(one.server);

    await one.worker.close();
    await gone(one);

    expect(disconnected).toHaveLength(1);
    expect(one.logger.of("Error in disconnected handler")).toStrictEqual([
      {
        level: "error",
        message: "Error in disconnected handler",
        rest: [{ error: "handler broke" }],
      },
    ]);
  });

  test("that throw something other than an Error are logged with it as text", async () => {
    const one = await oneWorker();
    one.server.onWorkerDisconnected(() => {
      throw 42;
    });

    await one.worker.close();
    await gone(one);

    expect(one.logger.of("Error in disconnected handler")[0]?.rest).toStrictEqual([{ error: "42" }]);
  });

  test("no longer run once unsubscribed", async () => {
    const one = await oneWorker();
    const calls: string[] = [];
    const unsubscribe = one.server.onWorkerDisconnected(() => calls.push("removed"));
    one.server.onWorkerDisconnected(() => calls.push("kept"));

    unsubscribe();
    await one.worker.close();
    await gone(one);

    expect(calls).toStrictEqual(["kept"]);
  });
});

test("pending requests are warned about before the disconnect is logged", async () => {
  const one = await oneWorker(["request-1", "request-2"]);
  one.logger.lines.length = 0;

  await one.worker.close();
  await gone(one);

  expect(one.logger.lines).toStrictEqual([
    {
      level: "warn",
      message: "Worker disconnected with pending requests",
      rest: [{ workerId: "worker-1", count: 2 }],
    },
    {
      level: "debug",
      message: DISCONNECTED,
      rest: [{ workerId: "worker-1", code: 1000, reason: "" }],
    },
  ]);
});

test("a disconnect is logged before the handlers run", async () => {
  const one = await oneWorker();
  const linesSeen: string[] = [];
  one.server.onWorkerDisconnected(() => {
    linesSeen.push(...one.logger.lines.map((line) => line.message));
  });

  await one.worker.close();
  await gone(one);

  expect(linesSeen.at(-1)).toBe(DISCONNECTED);
});

test("messages sent before the close frame are handled before the disconnect", async () => {
  const one = await oneWorker();
  const order: string[] = [];
  one.server.onWorkerMessage("report", (worker, message) => {
    order.push(`${worker.id} ${(message as { n?: unknown }).n}`);
  });
  one.server.onWorkerDisconnected(() => order.push("disconnected"));

  one.worker.send({ type: "report", n: 1 });
  one.worker.send({ type: "report", n: 2 });
  await one.worker.close();
  await gone(one);

  expect(order).toStrictEqual(["worker-1 1", "worker-1 2", "disconnected"]);
});

test("an id is free again after its worker left", async () => {
  const one = await oneWorker();
  const { connected } = recordEvents(one.server);
  await one.worker.close();
  await gone(one);

  const again = await TestWorker.register(one.port);

  expect(connected.map((info) => info.sessionId)).toStrictEqual([again.ack.sessionId]);
  expect(one.logger.of("Replacing existing worker connection")).toStrictEqual([]);
});

test("many workers that leave at once are each reported once", async () => {
  const { server, port } = await startServer();
  const { disconnected } = recordEvents(server);
  const ids = Array.from({ length: 30 }, (_, n) => `worker-${n}`);
  const workers = await Promise.all(ids.map((workerId) => TestWorker.register(port, { workerId })));

  await Promise.all(workers.map((worker, n) => (n % 2 ? worker.close() : worker.terminate())));
  await until(() => server.getWorkerCount() === 0, "all workers leave the pool");

  expect(disconnected.map(({ info }) => info.id).sort()).toStrictEqual([...ids].sort());
});
