import { scene } from "./support/handler-scene";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model, registration } from "./support/test-worker";

/*
 * What the author of a worker is told when its registration is refused: in the answer and in the log, by the server and by
 * a `ConnectionHandler` over sockets of the application's own.
 */

afterEach(stopServers);

const EXPECTED_ID = "workerId: expected a string, a number or a boolean";
const MAXIMUM = "capabilities.maxConcurrentRequests: expected a number >= 0";

function nested(levels: number): unknown {
  return levels === 0 ? "bottom" : [nested(levels - 1)];
}

function withModels(models: unknown): Record<string, unknown> {
  return { capabilities: capabilities({ models }) };
}

function withMaximum(maxConcurrentRequests: unknown): Record<string, unknown> {
  return { capabilities: capabilities({ maxConcurrentRequests }) };
}

const refusals: [error: string, overrides: Record<string, unknown>][] = [
  [`${EXPECTED_ID}, got nothing`, { workerId: undefined }],
  [`${EXPECTED_ID}, got null`, { workerId: null }],
  [`${EXPECTED_ID}, got an object`, { workerId: { token: "x" } }],
  [`${EXPECTED_ID}, got an array`, { workerId: ["a"] }],
  ["workerId: expected at most 1024 bytes, got 1200 bytes", { workerId: "é".repeat(600) }],
  ["workerName: expected at most 1024 bytes, got 5000 bytes", { workerName: "n".repeat(5_000) }],
  ["capabilities: expected an object, got nothing", { capabilities: undefined }],
  ['capabilities: expected an object, got "all"', { capabilities: "all" }],
  ["capabilities: expected an object, got an array", { capabilities: [] }],
  [
    "capabilities: expected at most 128 levels of nesting, got more",
    { capabilities: capabilities({ metadata: nested(128) }) },
  ],
  ["capabilities.models: expected an array, got nothing", withModels(undefined)],
  ["capabilities.models: expected an array, got an object", withModels({ length: 1 })],
  [
    "capabilities.models: expected at most 10000 models, got more",
    withModels(Array(10_001).fill({ modelId: "m" })),
  ],
  ["capabilities.models[1]: expected an object, got null", withModels([model("a"), null])],
  ['capabilities.models[0]: expected an object, got "sonnet"', withModels(["sonnet"])],
  ["capabilities.models[0].modelId: expected a string, got nothing", withModels([{}])],
  ["capabilities.models[0].modelId: expected a string, got 5", withModels([{ modelId: 5 }])],
  [`${MAXIMUM}, got "many"`, withMaximum("many")],
  [`${MAXIMUM}, got "\\"quoted\\"\\n"`, withMaximum('"quoted"\n')],
  [`${MAXIMUM}, got -1`, withMaximum(-1)],
  [`${MAXIMUM}, got -1.5e+300`, withMaximum(-1.5e300)],
  [`${MAXIMUM}, got null`, withMaximum(null)],
  [`${MAXIMUM}, got true`, withMaximum(true)],
  [`${MAXIMUM}, got "${"x".repeat(32)}..."`, withMaximum("x".repeat(10_000))],
  [`${MAXIMUM}, got "${"😀".repeat(32)}..."`, withMaximum("😀".repeat(33))],
  [`${MAXIMUM}, got a string`, { ...withMaximum("it is hunter2"), authToken: "hunter2" }],
];

test.each(refusals)("the server tells why: %s", async (error, overrides) => {
  const { port, logger } = await startServer();
  const worker = await TestWorker.connect(port);

  worker.send(registration(overrides));

  expect(await worker.next()).toEqual({ type: "worker_registration_ack", success: false, error });
  expect((await worker.closed).code).toBe(4002);
  expect(logger.of("Invalid registration message from worker")[0]?.rest[0]).toMatchObject({ error });
});

test.each(refusals)("a ConnectionHandler tells why: %s", (error, overrides) => {
  const { handler, logger } = scene();
  const sent: string[] = [];
  const socket = { readyState: 1, send: (text: string) => sent.push(text), close: () => {} };

  (handler as any).handleMessage(socket, JSON.stringify(registration(overrides)));

  expect(JSON.parse(sent[0]!)).toEqual({ type: "worker_registration_ack", success: false, error });
  expect(logger.of("Invalid registration message from worker")[0]?.rest[0]).toMatchObject({ error });
});

test("the server's secret is not told to a worker that shows it", async () => {
  const { port, logger } = await startServer({ authToken: "hunter2" });
  const worker = await TestWorker.connect(port);

  worker.send(registration({ authToken: "hunter2", capabilities: "hunter2" }));

  expect((await worker.next()).error).toBe("capabilities: expected an object, got a string");
  expect(JSON.stringify(logger.lines)).not.toContain("hunter2");
});
