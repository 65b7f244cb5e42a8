import { WorkerServer, type WorkerServerOptions } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { freePort, refusalOf } from "./support/ports";
import { RecordingLogger, createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

afterEach(stopServers);

/** The options as a program without type checks could give them. */
function untyped(options: unknown): WorkerServerOptions {
  return options as WorkerServerOptions;
}

async function heartbeatDeadline(options: Partial<WorkerServerOptions>): Promise<{
  earliest: number;
  deadline: number;
  latest: number;
}> {
  const { port } = await startServer(options);
  const worker = await TestWorker.register(port);
  const earliest = Date.now();
  worker.send({ type: "heartbeat", workerId: "worker-1", timestamp: "now" });
  const ack = await worker.next();
  return { earliest, deadline: Date.parse(ack.nextHeartbeatDeadline), latest: Date.now() };
}

describe("heartbeatIntervalMs", () => {
  test.each([
    ["15000 when it is left out", {}, 15_000],
    ["15000 when it is undefined", { heartbeatIntervalMs: undefined }, 15_000],
    ["15000 when it is null", { heartbeatIntervalMs: null }, 15_000],
    ["0 when it is 0", { heartbeatIntervalMs: 0 }, 0],
    ["the number given", { heartbeatIntervalMs: 1_234 }, 1_234],
  ])("workers are told %s", async (_case, options, told) => {
    const { port } = await startServer(untyped(options));

    const worker = await TestWorker.register(port);

    expect(worker.ack.heartbeatIntervalMs).toBe(told);
  });
});

describe("heartbeatTimeoutMs", () => {
  test.each([
    ["60000 when it is left out", {}, 60_000],
    ["60000 when it is undefined", { heartbeatTimeoutMs: undefined }, 60_000],
    ["60000 when it is null", { heartbeatTimeoutMs: null }, 60_000],
    ["0 when it is 0", { heartbeatTimeoutMs: 0 }, 0],
    ["the number given", { heartbeatTimeoutMs: 5_000 }, 5_000],
  ])("the next heartbeat is due after %s", async (_case, options, timeout) => {
    const { earliest, deadline, latest } = await heartbeatDeadline(untyped(options));

    expect(deadline).toBeGreaterThanOrEqual(earliest + timeout);
    expect(deadline).toBeLessThanOrEqual(latest + timeout);
  });
});

describe("healthCheckIntervalMs", () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  test.each([
    ["10000 when it is left out", {}, 10_000],
    ["10000 when it is null", { healthCheckIntervalMs: null }, 10_000],
    ["0 when it is 0", { healthCheckIntervalMs: 0 }, 0],
    ["the number given", { healthCheckIntervalMs: 777 }, 777],
  ])("the health timer is set to %s", async (_case, options, interval) => {
    const setInterval = jest.spyOn(globalThis, "setInterval");

    await startServer(untyped(options));

    expect(setInterval.mock.calls.map(([, ms]) => ms)).toStrictEqual([interval]);
  });
});

describe("logger", () => {
  test("may be left out", async () => {
    const { server, port } = await startServer({ logger: undefined });
    const worker = await TestWorker.register(port);

    worker.send({ type: "nobody listens to this" });
    await handledSoFar(server, worker);

    expect(server.getWorkerCount()).toBe(1);
  });
});

describe("an option of a wrong type is refused by the constructor, which names it", () => {
  const numbers = ["heartbeatTimeoutMs", "healthCheckIntervalMs", "heartbeatIntervalMs"];
  const wrongNumbers: [shown: string, value: unknown][] = [
    ['"soon"', "soon"],
    ["-1", -1],
    ["NaN", NaN],
  ];
  const cases = numbers.flatMap((name) =>
    wrongNumbers.map(([shown, value]) => [name, shown, value] as const),
  );

  test.each(cases)("%s: %s", (name, shown, value) => {
    const construct = () => new WorkerServer(untyped({ port: 0, [name]: value }));

    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(`options.${name}: expected a number >= 0, got ${shown}`);
  });

  test.each([
    ["authToken", null],
    ["authToken", 5],
    ["heartbeatTimeoutMs", {}],
    ["port", {}],
    ["port", true],
    ["logger", "console"],
  ])("%s: %j", (name, value) => {
    const construct = () => new WorkerServer(untyped({ port: 0, [name]: value }));

    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(`options.${name}: expected `);
  });

  test("no options at all", () => {
    const Untyped = WorkerServer as unknown as new () => WorkerServer;

    expect(() => new Untyped()).toThrow(TypeError);
  });
});

describe("before start()", () => {
  test("constructing logs nothing and sets no timer", () => {
    const setInterval = jest.spyOn(globalThis, "setInterval");
    const logger = new RecordingLogger();

    createServer({ logger });

    expect(logger.lines).toStrictEqual([]);
    expect(setInterval).not.toHaveBeenCalled();
    setInterval.mockRestore();
  });

  test("constructing opens no port", async () => {
    const port = await freePort();

    createServer({ port });

    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });

  test("the counts are 0", () => {
    const { server } = createServer();

    expect(server.getWorkerCount()).toBe(0);
    expect(server.getAvailableWorkerCount()).toBe(0);
    expect(server.getAvailableSlotCount("sonnet")).toBe(0);
    expect(server.getAvailableSlotCount("sonnet", "inference")).toBe(0);
  });

  test("no worker is found or listed", () => {
    const { server } = createServer();

    expect(server.getAvailableWorker("sonnet")).toBeNull();
    expect(server.getAvailableWorker("sonnet", "inference")).toBeNull();
    expect(server.getAnyAvailableWorker()).toBeNull();
    expect(server.getWorkerInfo()).toStrictEqual([]);
  });

  test("send() is false, broadcast() and request tracking do nothing", () => {
    const { server } = createServer();

    expect(server.send("worker-1", { type: "stop" })).toBe(false);
    expect(server.broadcast({ type: "stop" })).toBeUndefined();
    expect(server.trackRequest("worker-1", "request-1")).toBeUndefined();
    expect(server.releaseRequest("request-1")).toBeUndefined();
  });
});
