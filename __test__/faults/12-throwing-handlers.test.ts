import type { WorkerServer } from "../../index.js";
import { handledSoFar } from "../support/barrier";
import { freePort } from "../support/ports";
import { Program } from "../support/program";
import { serverWithWorker } from "../support/server-with-worker";
import { startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";
import { until } from "../support/until";

afterEach(async () => {
  await stopServers();
  await Program.endAll();
});

const MESSAGE_ERROR = "Error in message handler";
const CONNECTED_ERROR = "Error in connected handler";
const DISCONNECTED_ERROR = "Error in disconnected handler";

/** What can be thrown, and what the log calls it. */
const THROWN: [string, unknown, string][] = [
  ["an Error", new Error("boom"), "boom"],
  ["an Error without a message", new Error(), ""],
  ["a TypeError", new TypeError("größer 😀"), "größer 😀"],
  ["a string", "boom", "boom"],
  ["undefined", undefined, "undefined"],
  ["null", null, "null"],
  ["a number", 5, "5"],
  ["a symbol", Symbol("boom"), "Symbol(boom)"],
  ["an object", { message: "boom" }, "[object Object]"],
];

function throwing(value: unknown): () => never {
  return () => {
    throw value;
  };
}

/** Sends a message of that type and waits until its handlers have run. */
async function deliver(server: WorkerServer, worker: TestWorker, type = "result"): Promise<void> {
  worker.send({ type });
  await handledSoFar(server, worker);
}

async function disconnect(server: WorkerServer, worker: TestWorker): Promise<void> {
  let done = false;
  server.onWorkerDisconnected(() => {
    done = true;
  });
  await worker.close();
  await until(() => done, "all disconnected handlers have run");
}

describe("a message handler that throws", () => {
  test.each(THROWN)("%s is logged with the type, and the next handler runs", async (_what, thrown, error) => {
    const { server, logger, worker } = await serverWithWorker();
    const next = jest.fn();
    server.onWorkerMessage("result", throwing(thrown));
    server.onWorkerMessage("result", next);

    await deliver(server, worker);

    expect(next).toHaveBeenCalledTimes(1);
    expect(logger.of(MESSAGE_ERROR)).toStrictEqual([
      { level: "error", message: MESSAGE_ERROR, rest: [{ type: "result", error }] },
    ]);
  });

  test("something that cannot be made a string is logged, and the next handler runs", async () => {
    const { server, logger, worker } = await serverWithWorker();
    const next = jest.fn();
    server.onWorkerMessage("result", throwing(Object.create(null)));
    server.onWorkerMessage("result", next);

    await deliver(server, worker);

    expect(next).toHaveBeenCalledTimes(1);
    expect(logger.of(MESSAGE_ERROR)).toHaveLength(1);
  });

  test("is called for the next message all the same", async () => {
    const { server, logger, worker } = await serverWithWorker();
    const handler = jest.fn(throwing(new Error("boom")));
    server.onWorkerMessage("result", handler);

    for (let index = 0; index < 5; index++) worker.send({ type: "result", index });
    await handledSoFar(server, worker);

    expect(handler).toHaveBeenCalledTimes(5);
    expect(logger.of(MESSAGE_ERROR)).toHaveLength(5);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("asynchronously is logged likewise", async () => {
    const { server, logger, worker } = await serverWithWorker();
    server.onWorkerMessage("result", async () => {
      await Promise.resolve();
      throw new Error("boom");
    });
    server.onWorkerEvent("result", () => Promise.reject(new Error("bang")) as never);

    await deliver(server, worker);
    await until(() => logger.of(MESSAGE_ERROR).length === 2, "both are logged");

    const errors = logger.of(MESSAGE_ERROR).map(({ rest: [context] }: any) => context);
    expect(errors).toEqual(
      expect.arrayContaining([
        { type: "result", error: "boom" },
        { type: "result", error: "bang" },
      ]),
    );
  });
});

describe("a connected handler that throws", () => {
  test.each(THROWN)("%s is logged, and the next handler runs", async (_what, thrown, error) => {
    const { server, port, logger } = await startServer();
    const next = jest.fn();
    server.onWorkerConnected(throwing(thrown));
    server.onWorkerConnected(next);

    await TestWorker.register(port);

    expect(next).toHaveBeenCalledTimes(1);
    expect(logger.of(CONNECTED_ERROR)).toStrictEqual([
      { level: "error", message: CONNECTED_ERROR, rest: [{ error }] },
    ]);
  });

  test("leaves the worker registered and working", async () => {
    const { server, port } = await startServer();
    server.onWorkerConnected(throwing(new Error("boom")));
    server.onWorkerMessage("ask", ({ id }) => server.send(id, { type: "answer" }));

    const worker = await TestWorker.register(port);
    worker.send({ type: "ask" });

    expect(await worker.next()).toEqual({ type: "answer" });
    expect(server.getWorkerCount()).toBe(1);
  });
});

describe("a disconnected handler that throws", () => {
  test.each(THROWN)("%s is logged, and the next handler runs", async (_what, thrown, error) => {
    const { server, logger, worker } = await serverWithWorker();
    server.onWorkerDisconnected(throwing(thrown));

    await disconnect(server, worker);

    expect(logger.of(DISCONNECTED_ERROR)).toStrictEqual([
      { level: "error", message: DISCONNECTED_ERROR, rest: [{ error }] },
    ]);
  });

  test("does not keep a worker from being replaced", async () => {
    const { server, port, logger } = await serverWithWorker();
    server.trackRequest("worker-1", "r1");
    server.onWorkerDisconnected(throwing(new Error("boom")));

    const { ack } = await TestWorker.register(port);

    expect(logger.of(DISCONNECTED_ERROR)).toHaveLength(1);
    expect(server.getWorkerInfo()).toMatchObject([{ sessionId: ack.sessionId }]);
  });
});

describe("a logger that throws", () => {
  const LOGGERS: [string, string][] = [
    [
      "on every call",
      `const fail = () => { throw new Error("logger"); };
      const logger = { debug: fail, info: fail, warn: fail, error: fail };`,
    ],
    [
      "something odd on every call",
      `const fail = () => { throw Object.create(null); };
      const logger = { debug: fail, info: fail, warn: fail, error: fail };`,
    ],
    ["because it has no methods", `const logger = {};`],
    [
      "because its methods are getters that throw",
      `const logger = new Proxy({}, {
        get() { throw new Error("getter"); } });`,
    ],
  ];

  test.each(LOGGERS)("%s does not end the process or keep it from serving", async (_how, logger) => {
    const port = await freePort();
    const program = Program.startScript(`
      ${logger}
      const { WorkerServer } = require("worker-server-native");
      const server = new WorkerServer({
        port: ${port}, logger, heartbeatTimeoutMs: 100, healthCheckIntervalMs: 20,
      });
      server.onWorkerConnected(() => { throw new Error("handler"); });
      server.onWorkerDisconnected(({ id }) => {
        console.log("disconnected " + id);
        throw new Error("handler");
      });
      server.onWorkerMessage("throw", () => { throw new Error("handler"); });
      server.onWorkerMessage("ask", ({ id }) => server.send(id, { type: "answer" }));
      server.onWorkerMessage("stop", async () => {
        await server.stop();
        console.log("stopped");
      });
      server.start().then(() => console.log("listening"));
    `);
    await program.printed("listening");

    const silent = await TestWorker.register(port, { workerId: "silent" });
    expect((await silent.closed).code).toBe(4003);
    await program.printed("disconnected silent");
    const worker = await TestWorker.register(port, { workerId: "worker" });
    worker.sendText("nonsense");
    for (const message of [{}, { type: "nobody" }, { type: "throw" }, { type: "heartbeat", workerId: "x" }]) {
      worker.send(message);
    }
    worker.send({ type: "ask" });
    expect(await worker.next()).toEqual({ type: "answer" });
    worker.send({ type: "stop" });

    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: "" });
    expect(program.lines).toContain("stopped");
  });

  test("does not keep the next handler from running", async () => {
    const fail = throwing(new Error("logger"));
    const { server, port } = await startServer({
      logger: { debug: fail, info: fail, warn: fail, error: fail },
    });
    const next = jest.fn();
    server.onWorkerMessage("result", throwing(new Error("handler")));
    server.onWorkerMessage("result", next);
    const worker = await TestWorker.register(port);

    await deliver(server, worker);

    expect(next).toHaveBeenCalledTimes(1);
  });

  test("does not change how a failed start() is rejected", async () => {
    const { port } = await startServer();
    const fail = throwing(new Error("logger"));

    const second = startServer({ port, logger: { debug: fail, info: fail, warn: fail, error: fail } });

    await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

test("a process survives everything that a program can do wrong at once, and says so", async () => {
  const port = await freePort();
  const program = Program.startScript(`
    const { WorkerServer } = require("worker-server-native");
    const errors = new Set();
    const logger = { debug() {}, info() {}, warn() {}, error: (message) => {
      errors.add(message);
      throw new Error("logger");
    } };
    const server = new WorkerServer({ port: ${port}, logger });
    const boom = () => { throw new Error("boom"); };
    const later = async () => { await null; boom(); };
    for (const fail of [boom, later]) {
      server.onWorkerConnected(fail);
      server.onWorkerDisconnected(fail);
      server.onWorkerMessage("any", fail);
      server.onWorkerEvent("any", fail);
      server.addWebSocketEndpoint("/" + fail.name, fail);
    }
    server.addHttpHandler(async (req, res) => {
      if (req.url === "/head") res.writeHead(200).write("half");
      throw new Error("boom");
    });
    server.addHttpHandler(() => Promise.reject(new Error("boom")));
    const circle = { type: "circle" };
    circle.self = circle;
    server.onWorkerMessage("send", ({ id }) => {
      const unserialisable = [circle, { n: 1n }, { toJSON: boom }];
      const outcomes = unserialisable.map((message) => {
        try {
          server.broadcast(message);
          return "sent";
        } catch (error) {
          return error.name;
        }
      });
      console.log(outcomes.join(" "), unserialisable.map((message) => server.send(id, message)).join(" "));
    });
    server.onWorkerMessage("ask", ({ id }) => server.send(id, { type: "answer" }));
    server.onWorkerMessage("stop", async () => {
      console.log([...errors].sort().join(", "));
      await server.stop();
      console.log("stopped");
    });
    server.start().then(() => console.log("listening"));
  `);
  await program.printed("listening");

  await (await TestWorker.register(port, { workerId: "leaving" })).close();
  const worker = await TestWorker.register(port);
  worker.send({ type: "any" });
  for (const path of ["/boom", "/later"]) {
    const endpoint = await TestWorker.connect(port, path);
    expect((await endpoint.closed).code).toBe(1011);
  }
  await expect(fetch(`http://127.0.0.1:${port}/head`).then((reply) => reply.text())).rejects.toThrow();
  expect((await fetch(`http://127.0.0.1:${port}/none`)).status).toBe(404);
  worker.send({ type: "send" });
  worker.send({ type: "ask" });
  expect(await worker.next()).toEqual({ type: "answer" });
  worker.send({ type: "stop" });

  expect(await program.ended).toEqual({ code: 0, signal: null, stderr: "" });
  expect(program.lines).toEqual([
    "listening",
    "TypeError TypeError Error false false false",
    [
      "Error in connected handler",
      "Error in disconnected handler",
      "Error in message handler",
      "HTTP handler error",
      "WebSocket endpoint error",
    ].join(", "),
    "stopped",
  ]);
});
