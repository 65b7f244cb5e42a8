import { handledSoFar } from "./support/barrier";
import { recordMessages } from "./support/messages";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

const UNKNOWN = {
  id: "unknown",
  name: "unknown",
  status: "unhealthy",
  capabilities: { models: [], maxConcurrentRequests: 0 },
  sessionId: "",
  connectedAt: new Date(0),
  lastHeartbeat: new Date(0),
  activeRequests: 0,
  completedRequests: 0,
  pendingRequestIds: new Set(),
  categoryActiveRequests: new Map(),
};

describe("order", () => {
  test("5000 messages of one worker are handled in the order they were sent", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const calls = recordMessages(server, "step");

    for (let step = 0; step < 5000; step++) worker.send({ type: "step", step });
    await handledSoFar(server, worker);

    expect(calls.map(([, { step }]) => step)).toEqual(Array.from({ length: 5000 }, (_, step) => step));
  });

  test("text, binary, small and large messages of one worker keep their order", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const calls = recordMessages(server, "step");

    for (let step = 0; step < 40; step++) {
      const text = JSON.stringify({ type: "step", step, filler: "x".repeat(step % 4 === 0 ? 300_000 : 0) });
      worker.socket.send(text, { binary: step % 3 === 0 });
    }
    await handledSoFar(server, worker);

    expect(calls.map(([, { step }]) => step)).toEqual(Array.from({ length: 40 }, (_, step) => step));
  });

  test("a registration takes effect exactly between its neighbours", async () => {
    const { server, port } = await startServer();
    const calls = recordMessages(server, "step");
    const worker = await TestWorker.connect(port);

    worker.send({ type: "step", step: "before" });
    worker.send(registration());
    worker.send({ type: "step", step: "after" });
    await handledSoFar(server, worker);

    expect(calls.map(([{ id }, { step }]) => [id, step])).toEqual([
      ["unknown", "before"],
      ["worker-1", "after"],
    ]);
  });

  test("connected handlers run before a message sent right behind the registration", async () => {
    const { server, port } = await startServer();
    const order: string[] = [];
    server.onWorkerConnected(() => order.push("connected"));
    server.onWorkerMessage("step", () => order.push("message"));
    const worker = await TestWorker.connect(port);

    worker.send(registration());
    worker.send({ type: "step" });
    await handledSoFar(server, worker);

    expect(order).toEqual(["connected", "message"]);
  });

  test("messages sent right before the close are handled before the disconnected handlers", async () => {
    const { server, port } = await startServer();
    const order: unknown[] = [];
    server.onWorkerMessage("step", (info, { step }) => order.push([info.id, step]));
    server.onWorkerDisconnected(() => order.push("disconnected"));
    const worker = await TestWorker.register(port);

    for (let step = 0; step < 100; step++) worker.send({ type: "step", step });
    worker.socket.close();
    await until(() => order.includes("disconnected"), "the worker is disconnected");

    const steps = Array.from({ length: 100 }, (_, step) => ["worker-1", step]);
    expect(order).toEqual([...steps, "disconnected"]);
  });

  test("messages sent before a second connection takes the id over still come from the worker", async () => {
    const { server, port } = await startServer();
    const calls = recordMessages(server, "step");
    const first = await TestWorker.register(port);
    first.send({ type: "step", step: 1 });
    await handledSoFar(server, first);

    const second = await TestWorker.register(port);
    second.send({ type: "step", step: 2 });
    await handledSoFar(server, second);

    const sessions = calls.map(([{ id, sessionId }]) => [id, sessionId]);
    expect(sessions).toEqual([
      ["worker-1", first.ack.sessionId],
      ["worker-1", second.ack.sessionId],
    ]);
  });
});

describe("messages from a socket that is not registered", () => {
  test("come from the unknown worker", async () => {
    const { server, port } = await startServer();
    const calls = recordMessages(server, "step");
    const worker = await TestWorker.connect(port);

    worker.send({ type: "step", step: 1 });
    await handledSoFar(server, worker);

    expect(calls).toStrictEqual([[UNKNOWN, { type: "step", step: 1 }]]);
    expect(Object.keys(calls[0]![0])).toEqual(Object.keys(UNKNOWN));
  });

  test("come each with an info of its own", async () => {
    const { server, port } = await startServer();
    const calls = recordMessages(server, "step");
    const worker = await TestWorker.connect(port);

    worker.send({ type: "step" });
    await handledSoFar(server, worker);
    const [info] = calls[0]!;
    (info.pendingRequestIds as Set<string>).add("mine");
    info.capabilities.models.push({ modelId: "mine" } as never);
    worker.send({ type: "step" });
    await handledSoFar(server, worker);

    expect(calls[1]![0]).toStrictEqual(UNKNOWN);
  });

  test("do not make the socket a worker", async () => {
    const { server, port } = await startServer();
    recordMessages(server, "step");
    const worker = await TestWorker.connect(port);

    worker.send({ type: "step", workerId: "worker-1" });
    await handledSoFar(server, worker);

    expect(server.getWorkerCount()).toBe(0);
    expect(server.send("unknown", { type: "hello" })).toBe(false);
  });

  test("are dropped when a token is configured", async () => {
    const { server, port } = await startServer({ authToken: "secret" });
    const calls = recordMessages(server, "step");
    const worker = await TestWorker.connect(port);

    worker.send({ type: "step", step: "before" });
    worker.send(registration({ authToken: "secret" }));
    worker.send({ type: "step", step: "after" });
    await handledSoFar(server, worker);

    expect(calls.map(([{ id }, { step }]) => [id, step])).toEqual([["worker-1", "after"]]);
  });

  test("are dropped when the token was wrong", async () => {
    const { server, port } = await startServer({ authToken: "secret" });
    const calls = recordMessages(server, "step");
    const worker = await TestWorker.connect(port);
    const other = await TestWorker.register(port, { workerId: "other", authToken: "secret" });

    worker.send(registration({ authToken: "wrong" }));
    worker.send({ type: "step" });
    await worker.closed;
    await handledSoFar(server, other);

    expect(calls).toEqual([]);
  });
});
