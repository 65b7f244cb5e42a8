import { inspect } from "node:util";
import type { WorkerServer } from "../index.js";
import { transcript } from "./support/http";
import { requestHead } from "./support/raw-connection";
import { type RecordingLogger, createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

/*
 * A token is nowhere to be read: not in logs, errors or answers, not in what a server shows of itself.
 */

afterEach(stopServers);

/** What no output may hold, in plain or in another writing. */
const TOKEN = 'tok-"Zx9é"-secret';
const GUESS = "guess-Qw7-secret";

function expectNoSecret(text: string, secrets = [TOKEN, GUESS]): void {
  for (const secret of secrets) {
    for (const form of [
      secret,
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString("base64"),
    ]) {
      expect(text).not.toContain(form);
    }
  }
}

/** Everything that can be seen of a value, whatever is enumerable. */
function shown(value: unknown): string {
  return inspect(value, {
    depth: 20,
    showHidden: true,
    getters: true,
    maxArrayLength: null,
    maxStringLength: null,
  });
}

function shownBy(server: WorkerServer, logger: RecordingLogger): string {
  const views = [server.stats(), server.getWorkerInfo(), server.listWorkers(), logger.lines];
  return [server, ...views].map((view) => shown(view)).join("\n") + JSON.stringify([server, ...views]);
}

async function attempt(port: number, message: Record<string, unknown>): Promise<string> {
  const worker = await TestWorker.connect(port);
  worker.send(message);
  const answer = await worker.nextText();
  const { code, reason } = await worker.closed;
  return `${answer} ${code} ${reason}`;
}

describe("a token is not to be read", () => {
  test("in what is logged and answered when it is right", async () => {
    const { server, port, logger } = await startServer({ authToken: TOKEN });
    const worker = await TestWorker.register(port, { authToken: TOKEN });
    await worker.roundTrip();
    const text = shownBy(server, logger) + JSON.stringify(worker.ack);
    await worker.close();
    await until(() => server.getWorkerCount() === 0, "the worker is gone");

    expect(logger.lines.map(({ message }) => message)).toContain("Worker registered");
    expectNoSecret(text + shownBy(server, logger));
  });

  test("in what is logged and answered when another is shown", async () => {
    const { server, port, logger } = await startServer({ authToken: TOKEN });

    const answer = await attempt(port, registration({ authToken: GUESS }));

    expect(answer).toContain("Invalid authentication token");
    expectNoSecret(answer + shownBy(server, logger));
  });

  test.each([
    ["a registration without an id", { workerId: null }],
    ["a registration without capabilities", { capabilities: null }],
    ["a registration with too long a name", { workerName: "n".repeat(5_000) }],
  ])("when %s is refused", async (_what, overrides) => {
    const { server, port, logger } = await startServer({ authToken: TOKEN });

    const answer = await attempt(port, registration({ ...overrides, authToken: TOKEN }));

    expectNoSecret(answer + shownBy(server, logger));
  });

  test("when a message with it is no JSON, or no registration", async () => {
    const { server, port, logger } = await startServer({ authToken: TOKEN });
    const worker = await TestWorker.connect(port);

    worker.sendText(`{"type":"worker_registration","authToken":${JSON.stringify(TOKEN)}`);
    worker.sendText(`{"type":"heartbeat","workerId":"w","authToken":${JSON.stringify(TOKEN)}}`);
    worker.sendText(`${TOKEN}`);
    worker.send({ type: "x", authToken: TOKEN });
    worker.send(registration({ authToken: TOKEN }));
    await worker.next();

    expectNoSecret(shownBy(server, logger));
  });

  test("in what handlers get to know of a worker", async () => {
    const { server, port } = await startServer({ authToken: TOKEN });
    const seen: unknown[] = [];
    server.onWorkerConnected((worker) => void seen.push(shown(worker)));
    server.onWorkerDisconnected((worker) => void seen.push(shown(worker)));

    const worker = await TestWorker.register(port, { authToken: TOKEN });
    await worker.close();
    await until(() => seen.length === 2, "both handlers ran");

    expectNoSecret(seen.join("\n"));
  });

  test("in the answer of the health path, or in that to any other request", async () => {
    const { port } = await startServer({ authToken: TOKEN, healthPath: "/healthz" });
    const head = (line: string): string => requestHead(line, { Host: "x", Connection: "close" });

    const answers = await Promise.all(
      ["GET /healthz HTTP/1.1", "GET / HTTP/1.1", "BAD"].map((line) => transcript(port, [head(line)])),
    );

    expectNoSecret(answers.join("\n"));
  });

  test("after it was changed", async () => {
    const { server, port, logger } = await startServer({ authTokens: [TOKEN, GUESS] });
    server.setAuthTokens([GUESS]);

    const answer = await attempt(port, registration({ authToken: TOKEN }));
    await TestWorker.register(port, { authToken: GUESS });

    expectNoSecret(answer + shownBy(server, logger));
  });

  test.each<[string, unknown]>([
    ["a list with something else in it", [TOKEN, 5]],
    ["an object", { token: TOKEN }],
    ["a buffer", Buffer.from(TOKEN)],
    ["a string object", Object(TOKEN)],
    ["a function", (): string => TOKEN],
  ])("in the error that refuses %s as a token", (_what, given) => {
    const messages: string[] = [];
    const { server } = createServer();
    for (const attempted of [
      () => createServer({ authToken: given as string }),
      () => createServer({ authTokens: given as string[] }),
      () => server.setAuthTokens(given as string[]),
    ]) {
      try {
        attempted();
      } catch (error) {
        messages.push(shown(error));
      }
    }

    expect(messages).toHaveLength(3);
    expectNoSecret(messages.map((text) => text.replaceAll(/^ +at .*$/gm, "")).join("\n"));
  });

  test("in the error of a start that fails", async () => {
    const { port } = await startServer();
    const { server } = createServer({ port, authToken: TOKEN });

    const error = await server.start().catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({ code: "EADDRINUSE" });
    expectNoSecret(shown(error));
  });
});
