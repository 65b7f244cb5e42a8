import { handledSoFar } from "../support/barrier";
import { recordMessages } from "../support/messages";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const ERROR = "Worker WebSocket error";

/** A message of exactly so many bytes. */
function sized(bytes: number): string {
  const empty = JSON.stringify({ type: "sized", text: "" });
  return JSON.stringify({ type: "sized", text: "x".repeat(bytes - empty.length) });
}

interface SizeCase {
  readonly what: string;
  readonly limits: Record<string, number>;
  readonly isRegistered: boolean;
  readonly most: number;
}

const SIZES: SizeCase[] = [
  { what: "of a registered worker", limits: { maxMessageBytes: 2_000 }, isRegistered: true, most: 2_000 },
  {
    what: "before registration",
    limits: { maxUnregisteredMessageBytes: 500 },
    isRegistered: false,
    most: 500,
  },
  { what: "before registration by default", limits: {}, isRegistered: false, most: 1024 * 1024 },
];

describe.each(SIZES)("a message $what", ({ limits, isRegistered, most }) => {
  const connect = (port: number): Promise<TestWorker> =>
    isRegistered ? TestWorker.register(port) : TestWorker.connect(port);

  test("just below and at the limit is delivered", async () => {
    const { server, port } = await startServer({ limits });
    const messages = recordMessages(server, "sized");
    const worker = await connect(port);

    for (const bytes of [most - 1, most]) worker.sendText(sized(bytes));
    await handledSoFar(server, worker);

    expect(messages.map(([, message]) => JSON.stringify(message).length)).toEqual([most - 1, most]);
    expect(server.stats().messagesTooLarge).toBe(0);
  });

  test.each([true, false])(
    "just above it ends the connection with 1009 (in one frame: %s)",
    async (whole) => {
      const { server, port, logger } = await startServer({ limits });
      const messages = recordMessages(server, "sized");
      const worker = await connect(port);
      const text = sized(most + 1);

      if (whole) {
        worker.sendText(text);
      } else {
        worker.socket.send(text.slice(0, 100), { fin: false });
        worker.socket.send(text.slice(100), { fin: true });
      }

      expect((await worker.closed).code).toBe(1009);
      expect(messages).toEqual([]);
      expect(server.stats()).toMatchObject({ messagesTooLarge: 1, protocolErrors: 0 });
      expect(logger.of(ERROR).map(({ rest }) => rest)).toEqual([[{ error: "Max payload size exceeded" }]]);
    },
  );
});

test("Infinity lifts the limit of a message", async () => {
  const { server, port } = await startServer({ limits: { maxUnregisteredMessageBytes: Infinity } });
  const messages = recordMessages(server, "sized");
  const worker = await TestWorker.connect(port);

  worker.sendText(sized(3 * 1024 * 1024));
  await handledSoFar(server, worker);

  expect(messages).toHaveLength(1);
});

describe.each([
  ["as configured", { maxMessageFragments: 4 }, 4],
  ["by default", {}, 16_384],
])("fragments of a message, %s", (_how, limits, most) => {
  function sendFragments(worker: TestWorker, count: number): void {
    worker.socket.send('{"type":"sized"', { fin: false });
    for (let n = 2; n < count; n++) worker.socket.send(" ", { fin: false });
    worker.socket.send("}", { fin: true });
  }

  test("just below and at the limit make a message", async () => {
    const { server, port } = await startServer({ limits });
    const messages = recordMessages(server, "sized");
    const worker = await TestWorker.register(port);

    for (const count of [most - 1, most]) sendFragments(worker, count);
    await handledSoFar(server, worker);

    expect(messages).toHaveLength(2);
  });

  test("just above it end the connection with 1008", async () => {
    const { server, port, logger } = await startServer({ limits });
    const worker = await TestWorker.register(port);

    sendFragments(worker, most + 1);

    expect((await worker.closed).code).toBe(1008);
    expect(server.stats()).toMatchObject({ messagesTooFragmented: 1, protocolErrors: 0 });
    expect(logger.of(ERROR).map(({ rest }) => rest)).toEqual([[{ error: "Too many message fragments" }]]);
  });
});

test("a message of which 1 MiB has come must go on within writeTimeoutMs, one of less may wait", async () => {
  const MIB = 1024 * 1024;
  const { server, port, logger } = await startServer({ limits: { writeTimeoutMs: 300 } });
  const [below, at] = [
    await TestWorker.register(port, { workerId: "below" }),
    await TestWorker.register(port, { workerId: "at" }),
  ];
  const messages = recordMessages(server, "sized");
  const text = sized(MIB + 1);

  below.socket.send(text.slice(0, MIB - 1), { fin: false });
  at.socket.send(text.slice(0, MIB), { fin: false });

  expect((await at.closed).code).toBe(1008);
  expect(server.stats()).toMatchObject({ messageTimeouts: 1, protocolErrors: 0, connections: 1 });
  expect(logger.of(ERROR).map(({ rest }) => rest)).toEqual([[{ error: "Message timeout" }]]);
  below.socket.send(text.slice(MIB - 1), { fin: true });
  await until(() => messages.length === 1, "the other is still waited for");
});
