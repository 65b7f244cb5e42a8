import * as api from "../index.js";
import { WorkerServer, WorkerStatus } from "../index.js";
import { Program } from "./support/program";
import { createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

afterEach(async () => {
  jest.restoreAllMocks();
  await stopServers();
  await Program.endAll();
});

const NAMES = [
  "ConnectionHandler",
  "WorkerPool",
  "WorkerServer",
  "WorkerStatus",
  "safeCompare",
  "toWorkerInfo",
];

const METHODS = [
  "availableSlots",
  "broadcast",
  "dispatch",
  "getAnyAvailableWorker",
  "getAvailableSlotCount",
  "getAvailableWorker",
  "getAvailableWorkerCount",
  "getWorkerCount",
  "getWorkerInfo",
  "listWorkers",
  "onWorkerConnected",
  "onWorkerDisconnected",
  "onWorkerEvent",
  "onWorkerMessage",
  "releaseRequest",
  "send",
  "start",
  "stop",
  "trackRequest",
] as const;

/** What the program prints, once it has ended by itself and without complaint. */
async function outputOf(program: Program): Promise<string[]> {
  expect(await program.ended).toStrictEqual({ code: 0, signal: null, stderr: "" });
  return program.lines;
}

describe("the exports", () => {
  test("are exactly the ones that work so far", () => {
    expect(Object.keys(require("../index.js")).sort()).toStrictEqual(NAMES);
  });

  test("are marked as compiled from an ES module, without a default", () => {
    expect(api).toHaveProperty("__esModule", true);
    expect(api).not.toHaveProperty("default");
  });

  test("can be required by name in a CommonJS program", async () => {
    const program = Program.startScript(`
      const { WorkerServer, WorkerStatus, toWorkerInfo, safeCompare } = require("worker-server-native");
      console.log([WorkerServer, WorkerStatus, toWorkerInfo, safeCompare].map((x) => typeof x).join());
    `);

    expect(await outputOf(program)).toStrictEqual(["function,object,function,function"]);
  });

  test("can be imported by name in an ES module and are the objects that require gives", async () => {
    const program = Program.startModule(`
      import { createRequire } from "node:module";
      import { WorkerServer, WorkerStatus, toWorkerInfo, safeCompare } from "worker-server-native";
      const required = createRequire(import.meta.url)("worker-server-native");
      console.log(WorkerServer === required.WorkerServer, WorkerStatus === required.WorkerStatus);
      console.log(toWorkerInfo === required.toWorkerInfo, safeCompare === required.safeCompare);
    `);

    expect(await outputOf(program)).toStrictEqual(["true true", "true true"]);
  });

  test("come as module.exports with the default import of an ES module", async () => {
    const program = Program.startModule(`
      import { createRequire } from "node:module";
      import all from "worker-server-native";
      console.log(all === createRequire(import.meta.url)("worker-server-native"));
      console.log(Object.keys(all).sort().join());
    `);

    expect(await outputOf(program)).toStrictEqual(["true", NAMES.join()]);
  });
});

describe("WorkerStatus", () => {
  test("has the four statuses", () => {
    expect(WorkerStatus).toStrictEqual({
      Available: "available",
      Busy: "busy",
      Draining: "draining",
      Unhealthy: "unhealthy",
    });
  });

  test("is an ordinary object that can be changed", () => {
    expect(Object.isFrozen(WorkerStatus)).toBe(false);
    expect(Object.isExtensible(WorkerStatus)).toBe(true);
    expect(Object.getOwnPropertyDescriptor(WorkerStatus, "Busy")).toStrictEqual({
      value: "busy",
      writable: true,
      enumerable: true,
      configurable: true,
    });
  });
});

describe("WorkerServer", () => {
  test("cannot be called without new", () => {
    const call = WorkerServer as unknown as (options: unknown) => unknown;

    expect(() => call({ port: 0 })).toThrow(TypeError);
  });

  test("is an ES class of that name", () => {
    expect(WorkerServer.name).toBe("WorkerServer");
    expect(String(WorkerServer)).toMatch(/^class\b/);
  });

  test.each(METHODS)("has %s() on its prototype", (method) => {
    expect(Object.getOwnPropertyDescriptor(WorkerServer.prototype, method)).toMatchObject({
      value: expect.any(Function),
      writable: true,
      configurable: true,
    });
    expect(Object.hasOwn(createServer().server, method)).toBe(false);
  });

  test("has port as a getter on its prototype", () => {
    const descriptor = Object.getOwnPropertyDescriptor(WorkerServer.prototype, "port");

    expect(descriptor).toMatchObject({ get: expect.any(Function), set: undefined });
  });

  test("can be spied on", () => {
    const { server } = createServer();
    const send = jest.spyOn(WorkerServer.prototype, "send").mockReturnValue(true);

    expect(server.send("nobody", { type: "hello" })).toBe(true);
    expect(send).toHaveBeenCalledWith("nobody", { type: "hello" });
  });

  test("can have a method of one object replaced", () => {
    const { server } = createServer();
    jest.spyOn(server, "getWorkerCount").mockReturnValue(42);

    expect(server.getWorkerCount()).toBe(42);
    expect(createServer().server.getWorkerCount()).toBe(0);
  });

  test("can be subclassed, with fields and overridden methods", async () => {
    class LoudServer extends WorkerServer {
      readonly sent: unknown[] = [];
      override send(workerId: string, message: object): boolean {
        this.sent.push(message);
        return super.send(workerId, message as never);
      }
    }
    const server = new LoudServer({ port: 0 });
    await server.start();
    const worker = await TestWorker.register(server.port);

    expect(server.send("worker-1", { type: "hello" })).toBe(true);

    expect(server).toBeInstanceOf(WorkerServer);
    expect(server.sent).toStrictEqual([{ type: "hello" }]);
    expect(await worker.next()).toStrictEqual({ type: "hello" });
    TestWorker.dropAll();
    await server.stop();
  });

  const queries = METHODS.filter((method) => method !== "start" && method !== "stop");

  test.each(queries)("has a %s() that fails when it is detached", (method) => {
    const { server } = createServer();
    const detached = server[method] as (...args: unknown[]) => unknown;

    expect(() => detached("worker-1", () => {})).toThrow(TypeError);
  });

  test.each(["start", "stop"] as const)("has a %s() that fails when it is detached", async (method) => {
    const detached: () => Promise<void> = createServer().server[method];

    await expect((async () => detached())()).rejects.toThrow(TypeError);
  });
});

test("two servers in one process know nothing of each other", async () => {
  const first = await startServer();
  const second = await startServer();

  await TestWorker.register(first.port);

  expect(first.server.getWorkerCount()).toBe(1);
  expect(second.server.getWorkerCount()).toBe(0);
  expect(second.server.send("worker-1", { type: "hello" })).toBe(false);
});
