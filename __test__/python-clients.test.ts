import type { WorkerInfo, WorkerServer } from "../index.js";
import { PythonWorker, ensurePython } from "./support/python";
import { startServer, stopServers } from "./support/test-server";

/** Once: with an empty cache the libraries are downloaded. */
const INSTALLATION_MS = 180_000;

beforeAll(ensurePython, INSTALLATION_MS);
afterEach(async () => {
  await PythonWorker.endAll();
  await stopServers();
});

describe.each(["websockets", "aiohttp"])("a worker in Python with %s", (library) => {
  /** A server with the worker registered. */
  async function withWorker(
    token?: string,
  ): Promise<{ server: WorkerServer; worker: PythonWorker; info: WorkerInfo; firstGot: Promise<any> }> {
    const { server, port } = await startServer(token === undefined ? {} : { authToken: token });
    const registered = new Promise<WorkerInfo>((resolve) => server.onWorkerConnected(resolve));
    const firstGot = new Promise((resolve) => {
      server.onWorkerMessage("got", (_info, told) => resolve(told));
    });
    const worker = new PythonWorker(library, `ws://127.0.0.1:${port}/ws`, token);
    const failed = worker.ended.then((ending) => {
      throw new Error(`closed instead of registered: ${JSON.stringify(ending)}`);
    });
    const info = await Promise.race([registered, failed]);
    return { server, worker, info, firstGot };
  }

  /** Sends the worker a message and returns its next of that type. */
  async function answerTo(server: WorkerServer, message: object, type: string): Promise<any> {
    const answered = new Promise((resolve) => {
      server.onWorkerMessage(type, (_info, answer) => resolve(answer));
    });
    expect(server.send("python", message)).toBe(true);
    return answered;
  }

  test("registers and is available for its model", async () => {
    const { server, info } = await withWorker();

    expect(info).toMatchObject({ id: "python", name: "Python", status: "available" });
    expect(server.getAvailableWorker("sonnet")?.id).toBe("python");
  });

  test("registers with a token", async () => {
    const { server } = await withWorker("secret");

    expect(server.getWorkerCount()).toBe(1);
  });

  test("gets its acknowledgement", async () => {
    const { firstGot } = await withWorker();

    // It tells what it gets, in order; the first is the acknowledgement.
    expect((await firstGot).message).toMatchObject({ type: "worker_registration_ack", success: true });
  });

  test("with a wrong token is refused with 4001", async () => {
    const { port } = await startServer({ authToken: "secret" });
    const worker = new PythonWorker(library, `ws://127.0.0.1:${port}/ws`, "wrong");

    expect(await worker.ended).toEqual({ code: 4001, reason: "Authentication failed" });
  });

  test.each([
    ["a text in several scripts", "grüße, мир, 世界, 🌍"],
    ["1 MiB", "x".repeat(1024 * 1024)],
  ])("passes messages on unchanged: %s", async (_what, payload) => {
    const { server } = await withWorker();
    const echoed = new Promise((resolve) => {
      server.onWorkerMessage<any>("got", (_info, { message }) => {
        if (message.type === "work") resolve(message.payload);
      });
    });

    server.send("python", { type: "work", payload });

    expect(await echoed).toBe(payload);
  });

  test("has its heartbeats acknowledged", async () => {
    const { server } = await withWorker();
    const acknowledged = new Promise<any>((resolve) => {
      server.onWorkerMessage<any>("got", (_info, { message }) => {
        if (message.type === "heartbeat_ack") resolve(message);
      });
    });

    server.send("python", { type: "please_beat" });

    expect(await acknowledged).toMatchObject({ timestamp: "now" });
  });

  test("has its pings answered", async () => {
    const { server } = await withWorker();

    await answerTo(server, { type: "please_ping" }, "pinged");
  });

  test("is told by stop: 1001", async () => {
    const { server, worker } = await withWorker();

    await server.stop();

    expect(await worker.ended).toEqual({ code: 1001, reason: "Server shutting down" });
  });

  test("that closes is gone", async () => {
    const { server, worker } = await withWorker();
    const gone = new Promise<WorkerInfo>((resolve) => server.onWorkerDisconnected(resolve));

    server.send("python", { type: "please_close" });

    expect((await gone).id).toBe("python");
    expect((await worker.ended).code).toBe(4000);
  });

  test("that is killed is gone, with its request in flight told", async () => {
    const { server, worker } = await withWorker();
    server.trackRequest("python", "request");
    const pending = new Promise<ReadonlySet<string>>((resolve) => {
      server.onWorkerDisconnected((_info, ids) => resolve(ids));
    });

    worker.kill();

    expect([...(await pending)]).toEqual(["request"]);
  });
});
