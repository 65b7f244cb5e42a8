import { handledSoFar } from "../support/barrier";
import { recordMessages } from "../support/messages";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(stopServers);

const TOTAL_BYTES = 100_000;
/** What each may have besides, whatever the others do. */
const SHARE_BYTES = 16 * 1024;
const limits = { maxTotalIncompleteBytes: TOTAL_BYTES };

const text = JSON.stringify({ type: "large", payload: "x".repeat(300_000) });

/** Sends so much of a large message that it counts with that many bytes. */
function begin(worker: TestWorker, bytes: number): void {
  worker.socket.send(text.slice(0, SHARE_BYTES + bytes), { fin: false });
}

function goOn(worker: TestWorker, bytes: number): void {
  worker.socket.send(text.slice(SHARE_BYTES + bytes), { fin: true });
}

test("below and at maxTotalIncompleteBytes nobody waits, above it others than the oldest", async () => {
  const { server, port } = await startServer({ limits });
  const senders = recordMessages(server, "large");
  const worker = (workerId: string): Promise<TestWorker> => TestWorker.register(port, { workerId });
  const [oldest, other, quiet] = [await worker("oldest"), await worker("other"), await worker("quiet")];

  begin(oldest, TOTAL_BYTES - 1);
  await until(() => server.stats().incompleteBytes === TOTAL_BYTES - 1, "the first has come");
  begin(other, 1);
  await until(() => server.stats().incompleteBytes === TOTAL_BYTES, "the second has come");
  expect(server.stats()).toMatchObject({ messagePauses: 0, messagesGivenUp: 0 });

  goOn(other, 1);
  await until(() => server.stats().messagePauses === 1, "the second has to wait");
  await handledSoFar(server, quiet);
  expect(senders).toEqual([]);
  goOn(oldest, TOTAL_BYTES - 1);
  await until(() => senders.length === 2, "both have been handled");

  expect(senders.map(([{ id }]) => id)).toEqual(["oldest", "other"]);
  expect(server.stats()).toMatchObject({ incompleteBytes: 0, messagesGivenUp: 0, connections: 3 });
});

test("what has been arriving for writeTimeoutMs when others wait is closed with 1013", async () => {
  const { server, port, logger } = await startServer({ limits: { ...limits, writeTimeoutMs: 300 } });
  const messages = recordMessages(server, "large");
  const stalled = await TestWorker.register(port, { workerId: "stalled" });
  const honest = await TestWorker.register(port, { workerId: "honest" });

  begin(stalled, TOTAL_BYTES);
  await until(() => server.stats().incompleteBytes === TOTAL_BYTES, "it has come");
  honest.sendText(text);

  expect((await stalled.closed).code).toBe(1013);
  await until(() => messages.length === 1, "the other is handled");
  expect(server.stats()).toMatchObject({ messagesGivenUp: 1, protocolErrors: 0, connections: 1 });
  expect(logger.of("Worker WebSocket error").map(({ rest }) => rest)).toEqual([
    [{ error: "Too many incomplete messages" }],
  ]);
});

test("connections that have not registered are not in the way of workers", async () => {
  const { server, port } = await startServer({ limits });
  const messages = recordMessages(server, "large");
  const worker = await TestWorker.register(port);
  const strangers = [await TestWorker.connect(port), await TestWorker.connect(port)];

  for (const stranger of strangers) begin(stranger, TOTAL_BYTES / 2);
  await until(() => server.stats().incompleteBytes === TOTAL_BYTES, "theirs has come");
  worker.sendText(text);

  expect((await strangers[0]!.closed).code).toBe(1013);
  await until(() => messages.length === 1, "the worker's is handled");
  expect(server.stats().messagePauses).toBe(0);
});

test("a worker's message that is alone may be larger", async () => {
  const { server, port } = await startServer({ limits: { maxTotalIncompleteBytes: 0, writeTimeoutMs: 1 } });
  const messages = recordMessages(server, "large");
  const worker = await TestWorker.register(port);

  begin(worker, TOTAL_BYTES);
  await until(() => server.stats().incompleteBytes === TOTAL_BYTES, "it has come");
  goOn(worker, TOTAL_BYTES);
  await until(() => messages.length === 1, "it is handled");

  expect(server.stats()).toMatchObject({ messagePauses: 0, messagesGivenUp: 0 });
});
