import { WorkerServer } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const MIB = 2 ** 20;

/** What JSON.stringify refuses. */
const UNSERIALISABLE: [string, () => unknown][] = [
  [
    "a cycle",
    () => {
      const cycle: Record<string, unknown> = {};
      cycle["self"] = cycle;
      return cycle;
    },
  ],
  ["a BigInt", () => ({ value: 1n })],
];

/** A message whose toJSON throws that error. */
function throwing(error: Error): { toJSON(): never } {
  return {
    toJSON() {
      throw error;
    },
  };
}

function nextFrame(worker: TestWorker): Promise<{ data: Buffer; isBinary: boolean }> {
  return new Promise((resolve) => {
    worker.socket.once("message", (data: Buffer, isBinary) => resolve({ data, isBinary }));
  });
}

async function serverWithWorkers(...ids: unknown[]): Promise<{
  server: WorkerServer;
  port: number;
  workers: TestWorker[];
}> {
  const { server, port } = await startServer();
  const workers: TestWorker[] = [];
  for (const workerId of ids) workers.push(await TestWorker.register(port, { workerId }));
  return { server, port, workers };
}

async function serverWithWorker(): Promise<{ server: WorkerServer; port: number; worker: TestWorker }> {
  const { server, port, workers } = await serverWithWorkers("worker-1");
  return { server, port, worker: workers[0]! };
}

async function take(worker: TestWorker, count: number): Promise<any[]> {
  const messages = [];
  for (let index = 0; index < count; index++) messages.push(await worker.next());
  return messages;
}

describe("send", () => {
  test("puts the message on the wire as one text frame and returns true", async () => {
    const { server, worker } = await serverWithWorker();
    const frame = nextFrame(worker);

    expect(server.send("worker-1", { type: "work", requestId: "r1", n: 1 })).toBe(true);

    const { data, isBinary } = await frame;
    expect(isBinary).toBe(false);
    expect(data.toString()).toBe('{"type":"work","requestId":"r1","n":1}');
  });

  test.each([
    ["characters of all planes", { text: "é ß \u2028 €  😀 \u0000 \u007f" }],
    ["lone surrogates", { text: "\ud800x\udc00" }],
    ["Dates, undefined, NaN and functions", { at: new Date(0), gone: undefined, nan: NaN, f() {} }],
    ["toJSON", { toJSON: () => ({ type: "made" }) }],
    ["an array", [1, "two", null]],
    ["a string", "text"],
    ["a number", 5],
    ["false", false],
    ["null", null],
    ["an empty object", {}],
  ])("sends what JSON.stringify makes of the message: %s", async (_what, message) => {
    const { server, worker } = await serverWithWorker();

    expect(server.send("worker-1", message as never)).toBe(true);

    expect(await worker.nextText()).toBe(JSON.stringify(message));
  });

  test("of undefined sends an empty frame and returns true", async () => {
    const { server, worker } = await serverWithWorker();

    expect(server.send("worker-1", undefined as never)).toBe(true);
    server.send("worker-1", { type: "next" });

    expect(await worker.nextText()).toBe("");
    expect(await worker.next()).toEqual({ type: "next" });
  });

  test.each(UNSERIALISABLE)("returns false and sends nothing for %s", async (_what, make) => {
    const { server, worker } = await serverWithWorker();

    expect(server.send("worker-1", make() as never)).toBe(false);
    server.send("worker-1", { type: "next" });

    expect(await worker.next()).toEqual({ type: "next" });
  });

  test("returns false when toJSON throws", async () => {
    const { server } = await serverWithWorker();

    expect(server.send("worker-1", throwing(new Error("no")) as never)).toBe(false);
  });

  test("reaches the named worker only", async () => {
    const { server, workers } = await serverWithWorkers("a", "b", "c");

    server.send("b", { type: "work" });

    expect(await workers[1]!.next()).toEqual({ type: "work" });
    await workers[0]!.roundTrip("a");
    await workers[2]!.roundTrip("c");
    expect(workers.map(({ unread }) => unread)).toEqual([0, 0, 0]);
  });

  test("returns false for an id nobody has", async () => {
    const { server } = await serverWithWorker();

    for (const id of ["", "worker", "worker-11", "WORKER-1", undefined, null]) {
      expect(server.send(id as string, { type: "work" })).toBe(false);
    }
  });

  test("tells a numeric id from the same id as text", async () => {
    const { server, workers } = await serverWithWorkers(5);

    expect(server.send("5", { type: "text" })).toBe(false);
    expect(server.send(5 as never, { type: "number" })).toBe(true);

    expect(await workers[0]!.next()).toEqual({ type: "number" });
  });

  test("returns false before start()", () => {
    expect(new WorkerServer({ port: 0 }).send("worker-1", { type: "work" })).toBe(false);
  });

  test("returns false as soon as stop() was called", async () => {
    const { server } = await serverWithWorker();

    const stopped = server.stop();

    expect(server.send("worker-1", { type: "work" })).toBe(false);
    await stopped;
  });

  test("returns false once the worker is gone", async () => {
    const { server, worker } = await serverWithWorker();

    await worker.close();
    await until(() => server.getWorkerCount() === 0, "the worker is removed");

    expect(server.send("worker-1", { type: "work" })).toBe(false);
  });

  test("returns false for a worker that is being replaced, while it is still in the pool", async () => {
    const { server, port } = await serverWithWorker();
    server.trackRequest("worker-1", "r1");
    const seen: unknown[] = [];
    server.onWorkerDisconnected(() => {
      seen.push(server.getWorkerCount(), server.send("worker-1", { type: "work" }));
    });

    await TestWorker.register(port);

    expect(seen).toEqual([1, false]);
  });

  test("from a message handler answers the worker", async () => {
    const { server, worker } = await serverWithWorker();
    server.onWorkerMessage("ask", ({ id }) => server.send(id, { type: "answer" }));

    worker.send({ type: "ask" });

    expect(await worker.next()).toEqual({ type: "answer" });
  });
});

describe("order of what is sent", () => {
  test("5000 messages arrive in the order of the calls, sends and broadcasts mixed", async () => {
    const { server, worker } = await serverWithWorker();

    for (let step = 0; step < 5000; step++) {
      if (step % 7 === 0) server.broadcast({ step });
      else server.send("worker-1", { step });
    }

    expect((await take(worker, 5000)).map(({ step }) => step)).toEqual(
      Array.from({ length: 5000 }, (_, step) => step),
    );
  });

  test("small messages stay behind large ones", async () => {
    const { server, worker } = await serverWithWorker();
    const large = "ß".repeat(2 * MIB);

    server.send("worker-1", { step: 1, large });
    server.send("worker-1", { step: 2 });

    const [first, second] = await take(worker, 2);
    expect(first.large === large).toBe(true);
    expect([first.step, second]).toEqual([1, { step: 2 }]);
  });
});

describe("before a close", () => {
  test("everything sent is delivered, then the close frame of stop()", async () => {
    const { server, worker } = await serverWithWorker();
    const filler = "x".repeat(5000);

    for (let step = 0; step < 1000; step++) server.send("worker-1", { step, filler });
    const stopped = server.stop();

    expect((await take(worker, 1000)).map(({ step }) => step)).toEqual(
      Array.from({ length: 1000 }, (_, step) => step),
    );
    expect(await worker.closed).toEqual({ code: 1001, reason: "Server shutting down" });
    await stopped;
  });

  test("everything sent is delivered, then the close frame of a replacement", async () => {
    const { server, port, worker } = await serverWithWorker();

    for (let step = 0; step < 100; step++) server.send("worker-1", { step });
    await TestWorker.register(port);

    expect(await worker.closed).toEqual({ code: 4003, reason: "Replaced by new connection" });
    expect((await take(worker, 100)).map(({ step }) => step)).toEqual(
      Array.from({ length: 100 }, (_, step) => step),
    );
  });
});

describe("broadcast", () => {
  test("reaches every worker with the same text frame and returns undefined", async () => {
    const { server, workers } = await serverWithWorkers("a", "b", "c");
    const frames = workers.map(nextFrame);

    expect(server.broadcast({ type: "news", text: "größer" })).toBeUndefined();

    for (const { data, isBinary } of await Promise.all(frames)) {
      expect([data.toString(), isBinary]).toEqual(['{"type":"news","text":"größer"}', false]);
    }
  });

  test("does not reach sockets that are not registered", async () => {
    const { server, port, worker } = await serverWithWorker();
    const stranger = await TestWorker.connect(port);
    await handledSoFar(server, stranger);

    server.broadcast({ type: "news" });

    expect(await worker.next()).toEqual({ type: "news" });
    const pong = new Promise((resolve) => stranger.socket.once("pong", resolve));
    stranger.socket.ping();
    await pong;
    expect(stranger.unread).toBe(0);
  });

  test("reaches the others when one worker has just been cut off", async () => {
    const { server, workers } = await serverWithWorkers("a", "b", "c");
    await workers[1]!.terminate();

    server.broadcast({ type: "news" });

    expect(await workers[0]!.next()).toEqual({ type: "news" });
    expect(await workers[2]!.next()).toEqual({ type: "news" });
  });

  test.each([0, 1, 3])("serialises the message exactly once for %d workers", async (count) => {
    const { server } = await serverWithWorkers(...Array.from({ length: count }, (_, id) => `w${id}`));
    const toJSON = jest.fn(() => ({ type: "news" }));

    server.broadcast({ toJSON });

    expect(toJSON).toHaveBeenCalledTimes(1);
  });

  test.each(UNSERIALISABLE)(
    "throws a TypeError of this realm for %s, with an empty pool too",
    (_what, make) => {
      const server = new WorkerServer({ port: 0 });

      expect(() => server.broadcast(make() as never)).toThrow(TypeError);
    },
  );

  test("lets the error of a toJSON through", () => {
    const error = new Error("no");
    const server = new WorkerServer({ port: 0 });

    expect(() => server.broadcast(throwing(error) as never)).toThrow(error);
  });

  test.each(UNSERIALISABLE)("sends nothing to anybody when it throws for %s", async (_what, make) => {
    const { server, worker } = await serverWithWorker();

    expect(() => server.broadcast(make() as never)).toThrow(TypeError);
    server.broadcast({ type: "next" });

    expect(await worker.next()).toEqual({ type: "next" });
  });

  test("before start() and after stop() reaches nobody and does not throw", async () => {
    const { server, worker } = await serverWithWorker();
    new WorkerServer({ port: 0 }).broadcast({ type: "news" });

    const stopped = server.stop();
    server.broadcast({ type: "news" });

    await worker.closed;
    await stopped;
    expect(worker.unread).toBe(0);
  });
});

describe("a worker that does not read", () => {
  /** Sends messages of 1 MiB until one is refused; returns how many were taken. */
  function sendUntilRefused(server: WorkerServer): number {
    const filler = "x".repeat(MIB);
    for (let step = 0; step < 200; step++) {
      if (!server.send("worker-1", { step, filler })) return step;
    }
    throw new Error("200 MiB were taken for a worker that does not read");
  }

  test("is refused more once 16 MiB wait for it, and the others are still served", async () => {
    const { server, workers } = await serverWithWorkers("worker-1", "other");
    workers[0]!.socket.pause();

    expect(sendUntilRefused(server)).toBeGreaterThanOrEqual(15);

    server.send("other", { type: "work" });
    expect(await workers[1]!.next()).toEqual({ type: "work" });
  });

  test("gets all that was taken for it, in order, when it reads again", async () => {
    const { server, worker } = await serverWithWorker();
    worker.socket.pause();
    const taken = sendUntilRefused(server);

    worker.socket.resume();

    expect((await take(worker, taken)).map(({ step }) => step)).toEqual(
      Array.from({ length: taken }, (_, step) => step),
    );
    await until(() => server.send("worker-1", { step: "later" }), "there is room again");
    expect(await worker.next()).toEqual({ step: "later" });
  });

  test("is logged once, however many messages are refused", async () => {
    const { server, port, logger } = await startServer();
    const worker = await TestWorker.register(port);
    worker.socket.pause();
    const before = logger.lines.length;

    sendUntilRefused(server);
    for (let step = 0; step < 50; step++) server.send("worker-1", { filler: "x".repeat(MIB) });
    await until(() => logger.lines.length > before, "the drop is logged");
    await handledSoFar(server, await TestWorker.connect(port));

    const lines = logger.lines.slice(before).filter(({ level }) => level === "warn" || level === "error");
    expect(lines).toHaveLength(1);
  });
});
