import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { WorkerInfo } from "../index.js";
import { recordEvents } from "./support/events";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("the acknowledgement", () => {
  test("is byte for byte what the protocol says", async () => {
    const { server, port } = await startServer({ heartbeatIntervalMs: 1_500 });
    const worker = await TestWorker.connect(port);

    worker.send(registration());

    const text = await worker.nextText();
    const [info] = server.getWorkerInfo();
    expect(text).toBe(
      '{"type":"worker_registration_ack","success":true,' +
        `"sessionId":"${info?.sessionId}","heartbeatIntervalMs":1500}`,
    );
  });

  test("is a text frame", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.connect(port);
    const frameIsBinary = new Promise((resolve) => {
      worker.socket.once("message", (_data, isBinary) => resolve(isBinary));
    });

    worker.send(registration());

    expect(await frameIsBinary).toBe(false);
  });

  test("carries a random UUID v4 as session id", async () => {
    const { port } = await startServer();

    const worker = await TestWorker.register(port);

    expect(worker.ack.sessionId).toMatch(UUID_V4);
  });

  test("carries another session id each time the same worker registers", async () => {
    const { port } = await startServer();
    const sessionIds = new Set<string>();

    for (let round = 0; round < 5; round++) {
      const worker = await TestWorker.register(port);
      sessionIds.add(worker.ack.sessionId);
      await worker.close();
    }

    expect(sessionIds.size).toBe(5);
  });

  test("answers a registration sent in a binary frame", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.connect(port);

    worker.socket.send(Buffer.from(JSON.stringify(registration())), { binary: true });

    expect(await worker.next()).toMatchObject({ success: true });
  });
});

describe("the registered worker", () => {
  async function registeredInfo(overrides: Record<string, unknown> = {}): Promise<WorkerInfo> {
    const { server, port } = await startServer();
    await TestWorker.register(port, overrides);
    const [info] = server.getWorkerInfo();
    return info!;
  }

  test("is available, idle and has the id and name it gave", async () => {
    const info = await registeredInfo({ workerId: "gpu-7", workerName: "Ünïcode 🚀" });

    expect(info).toMatchObject({
      id: "gpu-7",
      name: "Ünïcode 🚀",
      status: "available",
      activeRequests: 0,
      completedRequests: 0,
      pendingRequestIds: new Set(),
      categoryActiveRequests: new Map(),
    });
  });

  test("has one Date object for connectedAt and lastHeartbeat, of the moment", async () => {
    const earliest = Date.now();
    const info = await registeredInfo();

    expect(info.connectedAt).toBeInstanceOf(Date);
    expect(info.lastHeartbeat).toBe(info.connectedAt);
    expect(info.connectedAt.getTime()).toBeGreaterThanOrEqual(earliest);
    expect(info.connectedAt.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test("keeps its capabilities as sent: unknown fields, key order and all", async () => {
    const sent = {
      zone: "eu",
      maxConcurrentRequests: 3,
      models: [{ extra: { deep: [1, null, "x"] }, ...model("a") }, model("b")],
      metadata: { gpu: "H100", "10": "ten", "9": "nine" },
      concurrencyLimits: { inference: 2 },
    };

    const info = await registeredInfo({ capabilities: sent });

    expect(JSON.stringify(info.capabilities)).toBe(JSON.stringify(sent));
  });

  test.each([
    ["no models", { models: [] }],
    ["a limit of 0", { maxConcurrentRequests: 0 }],
    ["no limit at all", { maxConcurrentRequests: undefined }],
  ])("is accepted with %s, but never selected", async (_case, overrides) => {
    const { server, port } = await startServer();

    await TestWorker.register(port, { capabilities: capabilities(overrides) });

    expect(server.getWorkerCount()).toBe(1);
    expect(server.getAvailableWorker("sonnet-3.5")).toBeNull();
  });

  test("is accepted without a name", async () => {
    const info = await registeredInfo({ workerName: undefined });

    expect(info.name).toBeUndefined();
  });
});

describe("worker ids keep their JSON type", () => {
  test("a number stays a number", async () => {
    const { server, port } = await startServer();

    await TestWorker.register(port, { workerId: 5 });

    expect(server.getWorkerInfo()[0]?.id).toBe(5);
  });

  test("send() with the same digits as a string misses it", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port, { workerId: 5 });

    expect(server.send("5", { type: "hello" })).toBe(false);
    expect(server.send(5 as unknown as string, { type: "hello" })).toBe(true);
  });

  test("a number and a string of the same digits are two workers", async () => {
    const { server, port } = await startServer();

    await TestWorker.register(port, { workerId: 5 });
    await TestWorker.register(port, { workerId: "5" });

    expect(server.getWorkerInfo().map((info) => info.id)).toStrictEqual([5, "5"]);
  });

  test.each(["__proto__", "constructor", "toString", "ü/😀 \u0000\n"])(
    "the string %j is an id like any other",
    async (workerId) => {
      const { server, port } = await startServer();
      const worker = await TestWorker.register(port, { workerId });

      expect(server.getWorkerInfo()[0]?.id).toBe(workerId);
      expect(server.send(workerId, { type: "hello" })).toBe(true);
      expect(await worker.next()).toStrictEqual({ type: "hello" });
    },
  );
});

describe("connected handlers", () => {
  test("get the info of the worker as their only argument, and no this", async () => {
    const { server, port } = await startServer();
    const calls: unknown[] = [];
    server.onWorkerConnected(function (this: unknown, ...args) {
      calls.push({ self: this, args });
    });

    await TestWorker.register(port);

    expect(calls).toStrictEqual([{ self: undefined, args: server.getWorkerInfo() }]);
  });

  test("have run, and the worker counts, when a client in this process sees the ack", async () => {
    const { server, port } = await startServer();
    const { connected } = recordEvents(server);
    const seenAtAck: unknown[] = [];

    const clients = Array.from({ length: 40 }, async (_, n) => {
      const workerId = `worker-${n}`;
      const worker = await TestWorker.connect(port);
      worker.socket.prependOnceListener("message", () => {
        const handled = connected.some((info) => info.id === workerId);
        const listed = server.getWorkerInfo().some((info) => info.id === workerId);
        seenAtAck.push({ handled, listed });
      });
      worker.send(registration({ workerId }));
      await worker.next();
    });
    await Promise.all(clients);

    expect(seenAtAck).toStrictEqual(Array(40).fill({ handled: true, listed: true }));
    expect(server.getWorkerCount()).toBe(40);
  });

  test("run when the pool already has the worker", async () => {
    const { server, port } = await startServer();
    const seen: unknown[] = [];
    server.onWorkerConnected((info) => {
      seen.push(server.getWorkerCount(), server.getAvailableWorker("sonnet-3.5")?.id, info.id);
    });

    await TestWorker.register(port);

    expect(seen).toStrictEqual([1, "worker-1", "worker-1"]);
  });

  test("can send to the worker, which gets the ack first", async () => {
    const { server, port } = await startServer();
    const sent: boolean[] = [];
    server.onWorkerConnected((info) => {
      sent.push(server.send(info.id, { type: "first" }), server.send(info.id, { type: "second" }));
    });

    const worker = await TestWorker.register(port);

    expect(sent).toStrictEqual([true, true]);
    expect(await worker.nextText()).toBe('{"type":"first"}');
    expect(await worker.nextText()).toBe('{"type":"second"}');
  });

  test("run in the order in which they were added, the same function once", async () => {
    const { server, port } = await startServer();
    const calls: string[] = [];
    const first = () => calls.push("first");
    server.onWorkerConnected(first);
    server.onWorkerConnected(() => calls.push("second"));
    server.onWorkerConnected(first);

    await TestWorker.register(port);

    expect(calls).toStrictEqual(["first", "second"]);
  });

  test("no longer run once unsubscribed, which may be done twice", async () => {
    const { server, port } = await startServer();
    const calls: string[] = [];
    const unsubscribe = server.onWorkerConnected(() => calls.push("removed"));
    server.onWorkerConnected(() => calls.push("kept"));

    unsubscribe();
    expect(unsubscribe).not.toThrow();
    await TestWorker.register(port);

    expect(calls).toStrictEqual(["kept"]);
  });

  test("added or removed by a handler count in the same round", async () => {
    const { server, port } = await startServer();
    const calls: string[] = [];
    server.onWorkerConnected(() => {
      calls.push("first");
      unsubscribeSecond();
      server.onWorkerConnected(() => calls.push("added"));
    });
    const unsubscribeSecond = server.onWorkerConnected(() => calls.push("second"));

    await TestWorker.register(port);

    expect(calls).toStrictEqual(["first", "added"]);
  });

  test("that throw are logged as errors; the next handler and the worker carry on", async () => {
    const { server, port, logger } = await startServer();
    const { connected } = recordEvents(server);
    server.onWorkerConnected(() => {
      throw new Error("handler broke");
    });
    server.onWorkerConnected((info) => connected.push(info));

    const worker = await TestWorker.register(port);
    await worker.roundTrip();

    expect(connected).toHaveLength(2);
    expect(logger.lines.filter((line) => line.level === "error")).toStrictEqual([
      { level: "error", message: expect.any(String), rest: [{ error: "handler broke" }] },
    ]);
  });
});

describe("what is logged", () => {
  test("the connection, then the worker with its models and limit", async () => {
    const { port, logger } = await startServer();

    await TestWorker.register(port, {
      capabilities: capabilities({ models: [model("a"), model("b")], maxConcurrentRequests: 7 }),
    });

    expect(logger.lines.slice(1)).toStrictEqual([
      { level: "debug", message: "New WebSocket connection from potential worker", rest: [] },
      {
        level: "debug",
        message: "Worker registered",
        rest: [
          {
            workerId: "worker-1",
            workerName: "Worker One",
            models: ["a", "b"],
            maxConcurrentRequests: 7,
          },
        ],
      },
    ]);
  });

  test('"Worker registered" comes before the connected handlers', async () => {
    const order: string[] = [];
    const silent = { info() {}, warn() {}, error() {} };
    const debug = (message: string) => void order.push(message);
    const { server, port } = await startServer({ logger: { ...silent, debug } });
    server.onWorkerConnected(() => order.push("connected handler"));

    await TestWorker.register(port);

    expect(order.slice(-2)).toStrictEqual(["Worker registered", "connected handler"]);
  });
});

describe("a second registration with another id over one socket", () => {
  async function registerTwice() {
    const { server, port } = await startServer();
    const events: string[] = [];
    server.onWorkerConnected((info) => events.push(`connected ${info.id}`));
    server.onWorkerDisconnected((info, pending) => {
      events.push(`disconnected ${info.id} with ${[...pending].join() || "nothing"} pending`);
    });
    const worker = await TestWorker.register(port, { workerId: "first" });
    server.trackRequest("first", "request-1");
    worker.send(registration({ workerId: "second" }));
    const ack = await worker.next();
    return { server, worker, events, ack };
  }

  test("is acknowledged", async () => {
    const { ack } = await registerTwice();

    expect(ack).toMatchObject({ type: "worker_registration_ack", success: true });
  });

  test("releases the first id with its pending requests before it adds the second", async () => {
    const { server, events } = await registerTwice();

    expect(events).toStrictEqual([
      "connected first",
      "disconnected first with request-1 pending",
      "connected second",
    ]);
    expect(server.getWorkerInfo().map((info) => info.id)).toStrictEqual(["second"]);
  });

  test("leaves the socket to the second id, whose disconnect is reported", async () => {
    const { server, worker, events } = await registerTwice();

    await worker.close();
    await until(() => server.getWorkerCount() === 0, "the second id leaves the pool");

    expect(events.slice(3)).toStrictEqual(["disconnected second with nothing pending"]);
  });
});

describe("what a registration says beside what a worker is", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;

  test.each([
    ["an unknown field", (padding: string) => JSON.stringify(registration({ padding }))],
    [
      "the space between parts of the capabilities",
      (padding: string) => JSON.stringify(registration()).replace('"models"', `${padding}"models"`),
    ],
  ])("is not kept, nor the token that stands with it: %s", async (_, textWith) => {
    const { server, port } = await startServer();
    const text = textWith(" ".repeat(500_000));
    collect();
    const before = process.memoryUsage().heapUsed;

    for (let n = 0; n < 20; n++) {
      const worker = await TestWorker.connect(port);
      worker.socket.send(text.replace("worker-1", `worker-${n}`));
      await worker.next();
    }
    await until(() => {
      collect();
      return process.memoryUsage().heapUsed - before < 5_000_000;
    }, "10 MB of text are gone");

    expect(server.getWorkerCount()).toBe(20);
  });
});
