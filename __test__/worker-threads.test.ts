import type { WorkerServer } from "../index.js";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { occupy, refusalOf, release } from "./support/ports";
import { Program } from "./support/program";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

const PACKAGE = require.resolve("../index.js");

/** A thread that listens, answers "ask" with its name, and stops when told so. */
const LISTENING_THREAD = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { WorkerServer } = require(workerData.package);
  const server = new WorkerServer({ port: 0 });
  server.onWorkerMessage("ask", (worker, message) => {
    server.send(worker.id, { type: "answer", from: workerData.name, n: message.n });
  });
  server.onWorkerMessage("report", (worker) => parentPort.postMessage({ worker }));
  parentPort.once("message", async () => {
    parentPort.close();
    await server.stop();
  });
  server.start().then(() => parentPort.postMessage({ port: server.port }));
`;

const threads = new Set<Worker>();

afterEach(async () => {
  await stopServers();
  await Program.endAll();
  await Promise.all([...threads].map((thread) => thread.terminate()));
  threads.clear();
});

async function startThread(name = "thread"): Promise<{ thread: Worker; port: number }> {
  const thread = new Worker(LISTENING_THREAD, { eval: true, workerData: { package: PACKAGE, name } });
  threads.add(thread);
  const [{ port }] = await once(thread, "message");
  return { thread, port };
}

async function answerFrom(port: number, worker?: TestWorker): Promise<any> {
  const asking = worker ?? (await TestWorker.register(port));
  asking.send({ type: "ask", n: 1 });
  return asking.next();
}

describe("in several threads at once", () => {
  test("each serves its own worker", async () => {
    const names = ["one", "two", "three", "four"];

    const ports = (await Promise.all(names.map(startThread))).map(({ port }) => port);
    const answers = await Promise.all(ports.map((port) => answerFrom(port)));

    expect(new Set(ports).size).toBe(4);
    expect(answers.map(({ from }) => from)).toEqual(names);
  });

  test("the main thread serves its worker, too", async () => {
    const { server, port } = await startServer();
    server.onWorkerMessage("ask", ({ id }) => server.send(id, { from: "main" }));
    const { port: other } = await startThread("thread");

    const answers = [await answerFrom(port), await answerFrom(other)];

    expect(answers.map(({ from }) => from)).toEqual(["main", "thread"]);
    expect(server.getWorkerCount()).toBe(1);
  });

  test("terminating one leaves the others serving", async () => {
    const { thread } = await startThread("ended");
    const { port } = await startThread("other");
    const { server, port: mainPort } = await startServer();
    server.onWorkerMessage("ask", ({ id }) => server.send(id, { from: "main" }));
    const worker = await TestWorker.register(port);

    await thread.terminate();

    expect(await answerFrom(port, worker)).toMatchObject({ from: "other" });
    expect(await answerFrom(mainPort)).toMatchObject({ from: "main" });
  });

  test("an info can be posted to another thread", async () => {
    const { thread, port } = await startThread();
    const worker = await TestWorker.register(port);
    const posted = once(thread, "message");

    worker.send({ type: "report" });

    const [{ worker: info }] = await posted;
    expect(info).toMatchObject({
      id: "worker-1",
      name: "Worker One",
      status: "available",
      activeRequests: 0,
    });
  });
});

describe("a thread that listens", () => {
  test("stays, and ends by itself once its server is stopped", async () => {
    const { thread, port } = await startThread();
    const worker = await TestWorker.register(port);
    expect(await answerFrom(port, worker)).toMatchObject({ type: "answer" });
    const exit = once(thread, "exit");

    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    thread.postMessage("stop");

    expect(await worker.closed).toEqual({ code: 1001, reason: "Server shutting down" });
    expect(await exit).toEqual([0]);
  });

  test("frees its port and drops its workers when it is terminated", async () => {
    const { thread, port } = await startThread();
    const worker = await TestWorker.register(port);
    const stranger = await TestWorker.connect(port);

    await thread.terminate();

    await worker.closed;
    await stranger.closed;
    expect(await refusalOf(port)).toBe("ECONNREFUSED");
    await release(await occupy(port));
  });

  test("can be terminated amid a stream of messages", async () => {
    const { thread, port } = await startThread();
    const worker = await TestWorker.register(port);

    for (let n = 0; n < 5_000; n++) worker.send({ type: "ask", n });
    await worker.next();
    await thread.terminate();

    await worker.closed;
    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });

  test("can be terminated 20 times in a row, the process lives on and the ports are free", async () => {
    // In a process of its own, whose end shows a crash.
    const program = Program.startScript(`
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      const net = require("node:net");
      const package = require.resolve("worker-server-native");
      const { WebSocket } = require("node:module").createRequire(package)("ws");

      async function round() {
        const workerData = { package, name: "thread" };
        const thread = new Worker(${JSON.stringify(LISTENING_THREAD)}, { eval: true, workerData });
        const [{ port }] = await once(thread, "message");
        const socket = new WebSocket("ws://127.0.0.1:" + port);
        const closed = once(socket, "close");
        await once(socket, "open");
        const capabilities = { models: [], maxConcurrentRequests: 1 };
        socket.send(JSON.stringify({ type: "worker_registration", workerId: "a", workerName: "A", capabilities }));
        await once(socket, "message");
        for (let n = 0; n < 100; n++) socket.send(JSON.stringify({ type: "ask", n }));
        socket.on("error", () => {});
        await thread.terminate();
        await closed;
        const again = net.createServer().listen(port);
        await once(again, "listening");
        again.close();
        await once(again, "close");
      }

      async function main() {
        for (let index = 0; index < 20; index++) await round();
        console.log("20 rounds");
      }
      main();
    `);

    const { code, signal, stderr } = await program.ended;

    expect({ code, signal, stderr, lines: program.lines }).toEqual({
      code: 0,
      signal: null,
      stderr: "",
      lines: ["20 rounds"],
    });
  });

  test("can be terminated while it is starting", async () => {
    for (let index = 0; index < 10; index++) {
      const thread = new Worker(LISTENING_THREAD, {
        eval: true,
        workerData: { package: PACKAGE, name: "short" },
      });
      threads.add(thread);
      await once(thread, "online");
      await thread.terminate();
    }

    const { port } = await startThread("last");
    expect(await answerFrom(port)).toMatchObject({ from: "last" });
  });
});

describe("in one thread", () => {
  test("two servers serve their own workers of the same id", async () => {
    const [first, second] = [await startServer(), await startServer()];
    first.server.onWorkerMessage("ask", ({ id }) => first.server.send(id, { from: "first" }));
    second.server.onWorkerMessage("ask", ({ id }) => second.server.send(id, { from: "second" }));

    const answers = await Promise.all([answerFrom(first.port), answerFrom(second.port)]);
    expect(answers.map(({ from }) => from)).toEqual(["first", "second"]);

    first.server.trackRequest("worker-1", "r1");
    expect(second.server.getWorkerInfo()[0]!.activeRequests).toBe(0);
    await first.server.stop();
    expect([first.server.getWorkerCount(), second.server.getWorkerCount()]).toEqual([0, 1]);
  });

  test("20 servers, one after the other on one port, each find it free", async () => {
    const { server, port } = await startServer();
    await server.stop();

    for (let round = 0; round < 20; round++) {
      const { server: next } = await startServer({ port });
      await TestWorker.register(port);
      await next.stop();
    }

    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });
});

describe("a second copy of the package in one process", () => {
  interface Copy {
    WorkerServer: typeof WorkerServer;
  }

  /** Loads the package anew, without touching the copy the other tests use. */
  function freshCopy(): Copy {
    let copy: Copy | undefined;
    jest.isolateModules(() => {
      copy = require("../index.js");
    });
    return copy!;
  }

  test("is another class, and both serve their workers", async () => {
    const first = await startServer();
    const { WorkerServer: SecondWorkerServer } = freshCopy();
    expect(first.server).not.toBeInstanceOf(SecondWorkerServer);
    const second = new SecondWorkerServer({ port: 0 });
    await second.start();

    first.server.onWorkerMessage("ask", ({ id }) => first.server.send(id, { from: "first" }));
    second.onWorkerMessage("ask", ({ id }) => second.send(id, { from: "second" }));
    const answers = [await answerFrom(first.port), await answerFrom(second.port)];

    expect(answers.map(({ from }) => from)).toEqual(["first", "second"]);
    await second.stop();
    expect([first.server.getWorkerCount(), second.getWorkerCount()]).toEqual([1, 0]);
  });

  test("works after jest.resetModules, ten times over", async () => {
    for (let round = 0; round < 10; round++) {
      jest.resetModules();
      const { WorkerServer: FreshWorkerServer }: Copy = require("../index.js");
      const server = new FreshWorkerServer({ port: 0 });
      await server.start();
      server.onWorkerMessage("ask", ({ id }) => server.send(id, { from: round }));

      expect(await answerFrom(server.port)).toEqual({ from: round });

      TestWorker.dropAll();
      await server.stop();
    }
  });
});
