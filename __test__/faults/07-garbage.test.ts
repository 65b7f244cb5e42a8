import type { WorkerServer } from "../../index.js";
import { handledSoFar } from "../support/barrier";
import { recordEvents } from "../support/events";
import { sized } from "../support/figures";
import { frame, writeRaw } from "../support/raw-connection";
import { RecordingLogger, startServer, stopServers } from "../support/test-server";
import { TestWorker, capabilities, model, registration } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

interface Scene {
  server: WorkerServer;
  port: number;
  logger: RecordingLogger;
  /** A worker that does nothing wrong and must not notice anything. */
  bystander: TestWorker & { ack: any };
}

async function scene(): Promise<Scene> {
  const { server, port, logger } = await startServer();
  const bystander = await TestWorker.register(port, { workerId: "bystander" });
  return { server, port, logger, bystander };
}

/** The bystander still has its socket, its session and the server's attention. */
async function expectUnharmed({ server, bystander }: Scene): Promise<void> {
  await bystander.roundTrip("bystander");
  const info = server.getWorkerInfo().find(({ id }) => id === "bystander");
  expect(info?.sessionId).toBe(bystander.ack.sessionId);
  expect(server.send("bystander", { type: "still there?" })).toBe(true);
  expect(await bystander.next()).toStrictEqual({ type: "still there?" });
}

const REFUSAL =
  /^\{"type":"worker_registration_ack","success":false,"error":"(workerId|workerName|capabilities)\S*: expected [^\n]+, got [^\n]+"\}$/;

const invalidRegistrations: [string, Record<string, unknown>][] = [
  ["no capabilities", { capabilities: undefined }],
  ["null as capabilities", { capabilities: null }],
  ["a string as capabilities", { capabilities: "all" }],
  ["an array as capabilities", { capabilities: [] }],
  ["no models", { capabilities: capabilities({ models: undefined }) }],
  ["null as models", { capabilities: capabilities({ models: null }) }],
  ["a string as models", { capabilities: capabilities({ models: "sonnet" }) }],
  ["an object as models", { capabilities: capabilities({ models: { length: 1 } }) }],
  ["a null model", { capabilities: capabilities({ models: [model("a"), null] }) }],
  ["a model that is a string", { capabilities: capabilities({ models: ["sonnet"] }) }],
  ["a model without modelId", { capabilities: capabilities({ models: [{}] }) }],
  ["a modelId that is a number", { capabilities: capabilities({ models: [{ modelId: 5 }] }) }],
  ["a modelId that is null", { capabilities: capabilities({ models: [{ modelId: null }] }) }],
  ["a negative limit", { capabilities: capabilities({ maxConcurrentRequests: -1 }) }],
  ["a limit that is a string", { capabilities: capabilities({ maxConcurrentRequests: "4" }) }],
  ["a limit that is null", { capabilities: capabilities({ maxConcurrentRequests: null }) }],
  ["no id", { workerId: undefined }],
  ["null as id", { workerId: null }],
  ["an object as id", { workerId: { a: 1 } }],
  ["an array as id", { workerId: ["bystander"] }],
  ["an id over 1 KiB", { workerId: "i".repeat(1_025) }],
  ["a name over 1 KiB", { workerName: "n".repeat(1_025) }],
  [
    "more than 10,000 models",
    { capabilities: capabilities({ models: Array(10_001).fill({ modelId: "m" }) }) },
  ],
];

describe("an invalid registration", () => {
  test.each(invalidRegistrations)(
    "is refused and the socket closed with 4002: %s",
    async (_case, overrides) => {
      const stage = await scene();
      const worker = await TestWorker.connect(stage.port);

      worker.send(registration(overrides));

      expect(await worker.nextText()).toMatch(REFUSAL);
      expect(await worker.closed).toStrictEqual({ code: 4002, reason: "Invalid registration" });
      expect(stage.server.getWorkerCount()).toBe(1);
      await expectUnharmed(stage);
    },
  );

  test("is refused with a limit that is no finite number (1e999)", async () => {
    const { port } = await scene();
    const worker = await TestWorker.connect(port);

    worker.sendText(
      '{"type":"worker_registration","workerId":"w","workerName":"W",' +
        '"capabilities":{"models":[],"maxConcurrentRequests":1e999}}',
    );

    expect(await worker.nextText()).toMatch(REFUSAL);
  });

  test("is refused if it consists of its type alone", async () => {
    const { port } = await scene();
    const worker = await TestWorker.connect(port);

    worker.send({ type: "worker_registration" });

    expect(await worker.nextText()).toMatch(REFUSAL);
  });

  test("is warned about once, with the worker id, and calls no handler", async () => {
    const { server, port, logger } = await scene();
    const events = recordEvents(server);
    const linesBefore = logger.lines.length;
    const worker = await TestWorker.connect(port);

    worker.send(registration({ capabilities: null }));
    await until(
      () => logger.of("Unregistered WebSocket connection closed").length > 0,
      "the close is logged",
    );

    expect(logger.lines.slice(linesBefore)).toStrictEqual([
      { level: "debug", message: "New WebSocket connection from potential worker", rest: [] },
      {
        level: "warn",
        message: "Invalid registration message from worker",
        rest: [{ workerId: "worker-1", error: "capabilities: expected an object, got null" }],
      },
      {
        level: "debug",
        message: "Unregistered WebSocket connection closed",
        rest: [{ code: 4002, reason: "Invalid registration" }],
      },
    ]);
    expect(events).toStrictEqual({ connected: [], disconnected: [] });
  });

  test("does not replace the worker whose id it names", async () => {
    const stage = await scene();
    const worker = await TestWorker.connect(stage.port);

    worker.send(registration({ workerId: "bystander", capabilities: null }));
    await worker.closed;

    await expectUnharmed(stage);
  });

  test("is the last thing evaluated on its socket", async () => {
    const { server, port, logger } = await scene();
    const { connected } = recordEvents(server);
    const messages: unknown[] = [];
    server.onWorkerMessage("report", (_worker, message) => messages.push(message));
    const worker = await TestWorker.connect(port);

    worker.send(registration({ capabilities: null }));
    worker.send(registration());
    worker.send({ type: "report" });
    await worker.closed;
    await until(
      () => logger.of("Unregistered WebSocket connection closed").length > 0,
      "the server notices the close",
    );

    expect(await worker.nextText()).toMatch(REFUSAL);
    expect(worker.unread).toBe(0);
    expect(connected).toStrictEqual([]);
    expect(messages).toStrictEqual([]);
  });

  test("of a name and an id of exactly 1 KiB is none", async () => {
    const { server, port } = await scene();

    await TestWorker.register(port, { workerId: "i".repeat(1_024), workerName: "n".repeat(1_024) });

    expect(server.getWorkerCount()).toBe(2);
  });
});

describe("a text that is no message", () => {
  const invalidJson = ["", " ", "{", '{"type":"x",}', "{'type':'x'}", "NaN", "undefined", "\ufeff{}"];
  const typeless = ["null", "true", "5", '"worker_registration"', "[]", '[{"type":"x"}]', "{}"];
  const wrongTypes = ['{"type":null}', '{"type":5}', '{"type":["heartbeat"]}', '{"type":{}}'];

  test.each(invalidJson)("%j is warned about as invalid JSON and the socket stays", async (text) => {
    await expectWarning(text, "Invalid JSON message from worker");
  });

  test.each([...typeless, ...wrongTypes])(
    "%s is warned about as missing its type and the socket stays",
    async (text) => {
      await expectWarning(text, "Message missing type field");
    },
  );

  test("that is binary and not UTF-8 is warned about as invalid JSON", async () => {
    await expectWarning(Buffer.from([0xff, 0xfe, 0x00]), "Invalid JSON message from worker");
  });

  async function expectWarning(data: string | Buffer, message: string): Promise<void> {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port);
    stage.logger.lines.length = 0;

    worker.socket.send(data);
    await handledSoFar(stage.server, worker);

    expect(stage.logger.lines).toStrictEqual([{ level: "warn", message, rest: [] }]);
    await worker.roundTrip();
    await expectUnharmed(stage);
  }

  test.each(["null", "", "[]", '{"type":5}'])(
    "%j is survived from a socket that never registers",
    async (text) => {
      const stage = await scene();
      const socket = await TestWorker.connect(stage.port);

      socket.sendText(text);
      await handledSoFar(stage.server, socket);

      await expectUnharmed(stage);
    },
  );
});

describe("JSON that stricter parsers refuse", () => {
  /** What the handler of "odd" gets for the text. */
  async function delivered(text: string): Promise<any> {
    const { server, port } = await startServer();
    const messages: unknown[] = [];
    server.onWorkerMessage("odd", (_worker, message) => messages.push(message));
    const worker = await TestWorker.register(port);
    worker.sendText(text);
    await handledSoFar(server, worker);
    expect(messages).toHaveLength(1);
    return messages[0];
  }

  test("a number too large is Infinity", async () => {
    expect(await delivered('{"type":"odd","n":1e999}')).toStrictEqual({ type: "odd", n: Infinity });
  });

  test("a lone surrogate is kept", async () => {
    expect(await delivered('{"type":"odd","s":"\\ud800"}')).toStrictEqual({ type: "odd", s: "\ud800" });
  });

  test("the last of two keys wins", async () => {
    expect(await delivered('{"n":1,"type":"other","type":"odd","n":2}')).toStrictEqual({
      type: "odd",
      n: 2,
    });
  });

  test('an escaped "type" key is the type', async () => {
    expect(await delivered('{"\\u0074ype":"o\\u0064d"}')).toStrictEqual({ type: "odd" });
  });

  test("a nested type is not the type", async () => {
    expect(await delivered('{"a":{"type":"x"},"type":"odd","b":[{"type":"y"}]}')).toMatchObject({
      type: "odd",
    });
  });

  test("a value nested a million deep is delivered", async () => {
    const depth = 1_000_000;

    const message = await delivered(`{"type":"odd","v":${"[".repeat(depth)}${"]".repeat(depth)}}`);

    let levels = 0;
    for (let value = message.v; value !== undefined; value = value[0]) levels += 1;
    expect(levels).toBe(depth);
  });
});

describe("odd JSON in a registration", () => {
  test("of two ids the last one counts", async () => {
    const { server, port } = await scene();
    const worker = await TestWorker.connect(port);
    const text = JSON.stringify(registration()).replace(
      '"workerId":"worker-1"',
      '"workerId":"bystander","workerId":"other"',
    );

    worker.sendText(text);

    expect(await worker.next()).toMatchObject({ success: true });
    expect(server.getWorkerInfo().map((info) => info.id)).toStrictEqual(["bystander", "other"]);
  });

  test('a "__proto__" key stays a key of its own and changes no prototype', async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.connect(port);
    const sent = '{"__proto__":{"polluted":true},"models":[],"maxConcurrentRequests":1}';

    worker.sendText(`{"type":"worker_registration","workerId":"w","workerName":"W","capabilities":${sent}}`);
    await worker.next();

    const kept = server.getWorkerInfo()[0]?.capabilities;
    expect(JSON.stringify(kept)).toBe(sent);
    expect(Object.getPrototypeOf(kept)).toBe(Object.prototype);
    expect({}).not.toHaveProperty("polluted");
  });

  test("lone surrogates in ids keep two workers apart", async () => {
    const { server, port } = await startServer();

    await TestWorker.register(port, { workerId: "\ud800" });
    const second = await TestWorker.register(port, { workerId: "\ud801" });

    expect(server.getWorkerInfo().map((info) => info.id)).toStrictEqual(["\ud800", "\ud801"]);
    expect(server.send("\ud801", { type: "hello" })).toBe(true);
    expect(await second.next()).toStrictEqual({ type: "hello" });
  });

  test("a lone surrogate as message type finds its handler and no other", async () => {
    const { server, port } = await startServer();
    const calls: string[] = [];
    server.onWorkerMessage("\ud800", () => calls.push("d800"));
    server.onWorkerMessage("\ufffd", () => calls.push("fffd"));
    const worker = await TestWorker.register(port);

    worker.send({ type: "\ud800" });
    await handledSoFar(server, worker);

    expect(calls).toStrictEqual(["d800"]);
  });

  test("metadata nested very deep harms nobody", async () => {
    const stage = await scene();
    const worker = await TestWorker.connect(stage.port);
    const deep = `${"[".repeat(400_000)}${"]".repeat(400_000)}`;

    worker.sendText(
      `{"type":"worker_registration","workerId":"deep","workerName":"Deep",` +
        `"capabilities":{"models":[],"maxConcurrentRequests":1,"metadata":${deep}}}`,
    );

    expect(await worker.next()).toMatchObject({ type: "worker_registration_ack" });
    await expectUnharmed(stage);
  });

  test("an array nested a million deep is a message without type", async () => {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port);
    stage.logger.lines.length = 0;

    worker.sendText("[".repeat(1_000_000) + "]".repeat(1_000_000));
    await handledSoFar(stage.server, worker);

    expect(stage.logger.lines).toStrictEqual([
      { level: "warn", message: "Message missing type field", rest: [] },
    ]);
  });
});

describe("size", () => {
  test("a message over 1 MiB before registration ends that connection with 1009", async () => {
    const stage = await scene();
    const socket = await TestWorker.connect(stage.port);

    socket.send({ type: "big", data: "x".repeat(1024 * 1024) });

    expect((await socket.closed).code).toBe(1009);
    await expectUnharmed(stage);
  });

  test("a message of 5 MiB from a registered worker is delivered", async () => {
    const { server, port } = await startServer();
    const lengths: number[] = [];
    server.onWorkerMessage("big", (_worker, message) => {
      lengths.push((message as unknown as { data: string }).data.length);
    });
    const worker = await TestWorker.register(port);

    worker.send({ type: "big", data: "x".repeat(5 * 1024 * 1024) });
    await handledSoFar(server, worker);

    expect(lengths).toStrictEqual([5 * 1024 * 1024]);
  });

  test.each([
    ["100 MiB and a byte", "81ff000000000640000100000000"],
    ["eight exabytes", "81ff7fffffffffffffff00000000"],
  ])("a frame that announces %s ends that connection with 1009", async (_case, head) => {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port);

    writeRaw(worker, Buffer.from(head, "hex"));

    expect((await worker.closed).code).toBe(1009);
    await expectUnharmed(stage);
  });

  test("a message in more than 16,384 fragments ends that connection", async () => {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port);

    worker.socket.send("[", { fin: false });
    for (let n = 0; n < 16_384; n++) worker.socket.send(" ", { fin: false });

    await worker.closed;
    await until(() => stage.server.getWorkerCount() === 1, "the offender leaves the pool");
    await expectUnharmed(stage);
  });
});

describe("guessing the token", () => {
  const TOKEN = "the right one";

  test(`of ${sized(500, 2_000)} guesses on one socket the first is evaluated, and the right one among the rest is not`, async () => {
    const { server, port, logger } = await startServer({ authToken: TOKEN });
    const guesser = await TestWorker.connect(port);
    const guesses = sized(500, 2_000);
    const frames = Array.from({ length: guesses }, (_, n) =>
      frame("text", JSON.stringify(registration({ authToken: n === guesses / 2 ? TOKEN : `guess ${n}` }))),
    );

    writeRaw(guesser, Buffer.concat(frames));

    expect((await guesser.closed).code).toBe(4001);
    await until(() => server.stats().connections === 0, "it is gone");
    expect(server.stats().tokensRefused).toBe(1);
    expect(logger.of("Worker registration rejected: invalid auth token")).toHaveLength(1);
    expect(server.getWorkerCount()).toBe(0);
  });

  test.each<[string, unknown]>([
    ["an array of it", [TOKEN]],
    ["an object that turns into it", { toString: TOKEN, valueOf: TOKEN, length: TOKEN.length }],
    ["its characters", [...TOKEN]],
    ["its bytes", [...Buffer.from(TOKEN)]],
    ["true", true],
    ["a number", 0],
    ["null", null],
    ["nothing", undefined],
    ["the empty string", ""],
    ["it with a NUL behind it", `${TOKEN}\0`],
    ["it in other letters", TOKEN.toUpperCase()],
    ["a prefix of it", TOKEN.slice(0, -1)],
  ])("another type or form of the token is wrong: %s", async (_what, authToken) => {
    const { server, port } = await startServer({ authToken: TOKEN });
    const worker = await TestWorker.connect(port);

    worker.send(registration({ authToken }));

    expect((await worker.closed).code).toBe(4001);
    expect(server.getWorkerCount()).toBe(0);
  });
});

describe("a million models", () => {
  const text = JSON.stringify(
    registration({
      workerId: "greedy",
      capabilities: capabilities({ models: Array(1_000_000).fill({ modelId: "m" }) }),
    }),
  );

  test("before registration are too large a message: 1009", async () => {
    const stage = await scene();
    const worker = await TestWorker.connect(stage.port);

    worker.sendText(text);

    expect((await worker.closed).code).toBe(1009);
    await expectUnharmed(stage);
  });

  test("in a second registration are refused with 4002, and the worker is gone with its slots", async () => {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port, { workerId: "greedy" });

    worker.sendText(text);

    expect((await worker.closed).code).toBe(4002);
    await until(() => stage.server.getWorkerCount() === 1, "it is gone");
    expect(stage.server.getAvailableSlotCount("sonnet")).toBe(4);
    await expectUnharmed(stage);
  });
});

describe("whatever workers say of themselves", () => {
  const odd: unknown[] = [
    "",
    "\0",
    "a\0b",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "\ud800",
    "\udfff\ud800",
    "i".repeat(1_024),
  ];
  const numbers: unknown[] = [
    0,
    -0,
    0.5,
    5e-324,
    1e308,
    2 ** 53,
    -1,
    "4",
    null,
    true,
    [],
    {},
    [4],
    { valueOf: 4 },
  ];
  const registrations: Record<string, unknown>[] = [
    ...odd.map((workerId) => ({ workerId })),
    ...odd.map((workerName, n) => ({ workerId: `name ${n}`, workerName })),
    ...odd.map((modelId, n) => ({
      workerId: `model ${n}`,
      capabilities: capabilities({ models: [{ modelId }] }),
    })),
    ...numbers.map((maxConcurrentRequests, n) => ({
      workerId: `limit ${n}`,
      capabilities: capabilities({ maxConcurrentRequests }),
    })),
    ...numbers.map((limit, n) => ({
      workerId: `category ${n}`,
      capabilities: capabilities({
        concurrencyLimits: Object.fromEntries(odd.map((category) => [category, limit])),
      }),
    })),
    ...[null, 0, "", [], [1], "limits"].map((concurrencyLimits, n) => ({
      workerId: `limits ${n}`,
      capabilities: capabilities({ concurrencyLimits }),
    })),
  ];
  const asked: any[] = [...odd, "sonnet", "x".repeat(1_000_000), undefined, null, 5, NaN, {}, []];

  test("selection never throws, and totals stay numbers", async () => {
    const stage = await scene();
    for (const overrides of registrations) {
      const worker = await TestWorker.connect(stage.port);
      worker.send(registration(overrides));
      await worker.next();
    }
    const { server } = stage;
    for (const { id } of server.getWorkerInfo()) {
      for (const category of asked) server.trackRequest(id, `${id}/${String(category)}`, category);
    }

    for (const model of asked.filter((one) => typeof one === "string")) {
      for (const category of asked) {
        expect(() => server.getAvailableWorker(model, category)).not.toThrow();
        const slots = server.getAvailableSlotCount(model, category);
        expect(Number.isFinite(slots)).toBe(true);
      }
    }
    expect(() => server.getAnyAvailableWorker()).not.toThrow();
    expect(Number.isInteger(server.getAvailableWorkerCount())).toBe(true);
    expect(({} as any).polluted).toBeUndefined();
    await expectUnharmed(stage);
  });

  test("the totals are as before when they are gone", async () => {
    const stage = await scene();
    const { server } = stage;
    const workers = [];
    for (const overrides of registrations) {
      const worker = await TestWorker.connect(stage.port);
      worker.send(registration(overrides));
      await worker.next();
      workers.push(worker);
    }
    for (const { id } of server.getWorkerInfo()) if (id !== "bystander") server.trackRequest(id, `of ${id}`);

    for (const worker of workers) worker.socket.terminate();
    // The native side knows first.
    await until(() => server.getWorkerCount() === 1, "all are gone");

    expect(server.stats().connections).toBe(1);
    expect(server.getAvailableSlotCount("sonnet")).toBe(4);
    expect(server.stats().inFlight).toBe(0);
    await expectUnharmed(stage);
  });

  test("giant and odd ids in heartbeats and messages are ignored", async () => {
    const stage = await scene();
    const worker = await TestWorker.register(stage.port);
    const ids = [...odd, "i".repeat(5_000_000), {}, [], null, -0, { toString: null }];

    for (const workerId of ids) {
      worker.send({ type: "heartbeat", workerId });
      worker.send({ type: "any", workerId, requestId: workerId });
    }
    await handledSoFar(stage.server, worker);

    expect(stage.server.stats().heartbeatsRefused).toBe(ids.length);
    expect(worker.unread).toBe(0);
    await expectUnharmed(stage);
  });
});
