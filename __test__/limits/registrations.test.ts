import { handledSoFar } from "../support/barrier";
import { recordMessages } from "../support/messages";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker, capabilities, model, registration } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

type Overrides = Record<string, unknown>;

/** Levels of nesting, the capabilities themselves included. */
function nested(levels: number): Overrides {
  let metadata: unknown[] = [];
  for (let level = 2; level < levels; level++) metadata = [metadata];
  return { capabilities: capabilities({ models: [], metadata }) };
}

const SIZES: [limit: string, byDefault: number, smaller: number, of: (size: number) => Overrides][] = [
  [
    "maxModels",
    10_000,
    3,
    (n) => ({ capabilities: capabilities({ models: Array(n).fill({ modelId: "m" }) }) }),
  ],
  ["maxIdBytes", 1_024, 20, (n) => ({ workerId: "é".repeat(n / 2) + "i".repeat(n % 2) })],
  ["maxNameBytes", 1_024, 20, (n) => ({ workerName: "é".repeat(n / 2) + "n".repeat(n % 2) })],
  ["maxDepth", 128, 5, nested],
];

/** Registers with each size; returns how each connection was closed, `undefined` for those that were accepted. */
async function outcomes(port: number, sizes: number[], of: (size: number) => Overrides): Promise<unknown[]> {
  const ends: unknown[] = [];
  for (const size of sizes) {
    const worker = await TestWorker.connect(port);
    worker.send(registration(of(size)));
    const { success } = await worker.next();
    ends.push(success ? undefined : await worker.closed);
  }
  return ends;
}

const REFUSED = { code: 4002, reason: "Invalid registration" };

describe.each(SIZES)("%s", (limit, byDefault, smaller, of) => {
  test.each([
    [`${byDefault} by default`, {}, byDefault],
    [`${smaller} as configured`, { [limit]: smaller }, smaller],
  ])("%s: just below and at it is accepted, just above refused", async (_how, limits, most) => {
    const { server, port, logger } = await startServer({ limits });

    expect(await outcomes(port, [most - 1, most, most + 1], of)).toEqual([undefined, undefined, REFUSED]);

    expect(server.stats().registrationsRefused).toBe(1);
    expect(logger.of("Invalid registration message from worker")).toHaveLength(1);
  });

  test("is lifted by Infinity", async () => {
    const { port } = await startServer({ limits: { [limit]: Infinity } });

    expect(await outcomes(port, [byDefault + 1], of)).toEqual([undefined]);
  });
});

test.each([
  ["0", true],
  ["4", true],
  ["0.5", true],
  ["1e308", true],
  ["-0.5", false],
  ["-1", false],
  ["1e999", false],
  ['"4"', false],
  ["null", false],
])("a maxConcurrentRequests of %s is accepted: %s", async (text, isAccepted) => {
  const { server, port } = await startServer();
  const worker = await TestWorker.connect(port);

  worker.sendText(
    '{"type":"worker_registration","workerId":"w","workerName":"W",' +
      `"capabilities":{"models":[{"modelId":"m"}],"maxConcurrentRequests":${text}}}`,
  );

  expect((await worker.next()).success).toBe(isAccepted);
  expect(server.stats().registrationsRefused).toBe(isAccepted ? 0 : 1);
  expect(server.getAvailableSlotCount("m")).toBe(isAccepted ? Math.floor(Number(text)) : 0);
});

describe("registrationTimeoutMs", () => {
  const limits = { registrationTimeoutMs: 300 };

  test("leaves alone who registers within it", async () => {
    const { server, port } = await startServer({ limits });
    const worker = await TestWorker.register(port);
    const late = await TestWorker.connect(port);

    await late.closed;

    await worker.roundTrip();
    expect(server.getWorkerCount()).toBe(1);
  });

  test("closes who does not with 1008, not before and not much later", async () => {
    const { server, port, logger } = await startServer({ limits });
    const worker = await TestWorker.connect(port);
    const start = performance.now();
    // Messages are no registration.
    worker.send({ type: "report" });

    expect(await worker.closed).toEqual({ code: 1008, reason: "Registration timeout" });

    const elapsed = performance.now() - start;
    expect(elapsed).toBeGreaterThan(250);
    expect(elapsed).toBeLessThan(3_000);
    expect(server.stats().registrationTimeouts).toBe(1);
    expect(logger.of("Worker did not register in time")).toEqual([
      { level: "warn", message: "Worker did not register in time", rest: [] },
    ]);
  });
});

describe("maxTokenAttempts", () => {
  const authToken = "secret";
  const WARNING = "Worker registration rejected: invalid auth token";

  test("is 1: nothing after a wrong token is looked at", async () => {
    const { server, port, logger } = await startServer({ authToken });
    const worker = await TestWorker.connect(port);

    for (let guess = 0; guess < 2_000; guess++) worker.send(registration({ authToken: `guess-${guess}` }));
    worker.send(registration({ authToken }));

    expect(await worker.closed).toEqual({ code: 4001, reason: "Authentication failed" });
    expect(server.getWorkerCount()).toBe(0);
    expect(server.stats().tokensRefused).toBe(1);
    expect(logger.of(WARNING)).toHaveLength(1);
  });

  test("may be 3: the third may be right", async () => {
    const { server, port } = await startServer({ authToken, limits: { maxTokenAttempts: 3 } });
    const worker = await TestWorker.connect(port);

    for (const guess of ["a", "b", authToken]) worker.send(registration({ authToken: guess }));

    expect([await worker.next(), await worker.next(), await worker.next()]).toMatchObject([
      { success: false },
      { success: false },
      { success: true },
    ]);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("may be 3: the third wrong one ends the connection", async () => {
    const { server, port } = await startServer({ authToken, limits: { maxTokenAttempts: 3 } });
    const worker = await TestWorker.connect(port);

    for (const guess of ["a", "b", "c", authToken]) worker.send(registration({ authToken: guess }));

    expect((await worker.closed).code).toBe(4001);
    expect(server.getWorkerCount()).toBe(0);
    expect(server.stats().tokensRefused).toBe(3);
  });

  test("lifted: all are counted, ten are logged", async () => {
    const { server, port, logger } = await startServer({ authToken, limits: { maxTokenAttempts: Infinity } });
    const worker = await TestWorker.connect(port);

    for (let guess = 0; guess < 100; guess++) worker.send(registration({ authToken: `guess-${guess}` }));
    worker.send(registration({ authToken }));

    await until(() => server.getWorkerCount() === 1, "the right token is accepted");
    expect(server.stats().tokensRefused).toBe(100);
    expect(logger.of(WARNING)).toHaveLength(10);
  });
});

describe("maxUnregisteredMessages", () => {
  const DROPPED = "Message from unregistered worker dropped";

  test.each([
    ["0 with a token", { authToken: "secret" }, 0],
    ["no limit without", {}, 5],
    ["as configured with a token", { authToken: "secret", limits: { maxUnregisteredMessages: 3 } }, 3],
    ["as configured without", { limits: { maxUnregisteredMessages: 4 } }, 4],
    ["lifted with a token", { authToken: "secret", limits: { maxUnregisteredMessages: Infinity } }, 5],
  ])("is %s", async (_how, options, most) => {
    const { server, port, logger } = await startServer(options);
    const messages = recordMessages(server, "early");
    const worker = await TestWorker.connect(port);

    for (let n = 0; n < 5; n++) worker.send({ type: "early", n });
    worker.send(registration({ authToken: "secret" }));
    worker.send({ type: "early", n: "registered" });
    await handledSoFar(server, worker);

    const expected = [...Array(most).keys()].map((n) => ["unknown", n]);
    expect(messages.map(([{ id }, { n }]) => [id, n])).toEqual([...expected, ["worker-1", "registered"]]);
    expect(server.stats().messagesDropped).toBe(5 - most);
    expect(logger.of(DROPPED)).toHaveLength(most < 5 ? 1 : 0);
  });

  test("covers what is no message: with a token it is not even looked at", async () => {
    const { server, port, logger } = await startServer({ authToken: "secret" });
    const worker = await TestWorker.connect(port);

    for (const text of ["{", "null", '{"type":"heartbeat",']) worker.sendText(text);
    worker.send(registration({ authToken: "secret", capabilities: capabilities({ models: [model("m")] }) }));
    await handledSoFar(server, worker);

    expect(server.stats()).toMatchObject({ messagesDropped: 3, messagesInvalid: 0 });
    expect(logger.of(DROPPED)).toHaveLength(1);
  });
});
