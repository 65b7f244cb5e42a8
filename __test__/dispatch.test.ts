import { WorkerServer, WorkerStatus } from "../index.js";
import { infoOf } from "./support/infos";
import { poolOf, registerAs, work } from "./support/pool-of";
import { startServer, stopServers } from "./support/test-server";

afterEach(stopServers);

/** Who would get a request for the model, without leaving it there. */
function dispatched(server: WorkerServer, model?: string, category?: string): unknown {
  const handle = server.dispatch({ model, category, message: work("probe") });
  handle?.fail();
  return handle?.worker.id;
}

describe("dispatch", () => {
  test("sends the message to the worker, tracks the request there and returns a handle", async () => {
    const { server, workers } = await poolOf({ id: "a" });
    const message = { type: "work_request", requestId: "r1", input: { text: "größer" } };

    const handle = server.dispatch({ model: "sonnet", category: "video", message });

    expect(handle).toMatchObject({ requestId: "r1", worker: { id: "a", name: "Worker One" } });
    expect(handle!.message).toBe(message);
    expect(Object.keys(handle!)).toEqual(["worker", "message", "requestId", "complete", "fail"]);
    expect(await workers[0]!.next()).toStrictEqual(message);
    expect([...infoOf(server, "a").pendingRequestIds]).toEqual(["r1"]);
    expect(infoOf(server, "a").categoryActiveRequests).toEqual(new Map([["video", 1]]));
  });

  test("returns a frozen handle whose worker has the request and does not change", async () => {
    const { server } = await poolOf({ id: "a", max: 1 });

    const handle = server.dispatch({ category: "video", message: work("r1") })!;
    handle.complete();

    expect(Object.isFrozen(handle)).toBe(true);
    expect(Object.isFrozen(handle.worker)).toBe(true);
    expect(Object.isFrozen(handle.message)).toBe(false);
    expect(handle.worker.status).toBe(WorkerStatus.Busy);
    expect(handle.worker.requests).toStrictEqual({
      active: 1,
      completed: 0,
      pendingIds: ["r1"],
      activeByCategory: { video: 1 },
    });
  });

  test("returns null when there is nobody, before start() and after stop() too", async () => {
    const { server, port } = await startServer();
    expect(new WorkerServer({ port: 0 }).dispatch({ message: work("r1") })).toBeNull();
    expect(server.dispatch({ message: work("r1") })).toBeNull();
    await registerAs(port, { id: "a", models: ["opus"], max: 1 });
    expect(server.dispatch({ model: "sonnet", message: work("r1") })).toBeNull();
    expect(server.dispatch({ message: work("r1") })).not.toBeNull();
    expect(server.dispatch({ message: work("r2") })).toBeNull();

    await server.stop();

    expect(server.dispatch({ message: work("r3") })).toBeNull();
  });

  test.each([{}, { model: "sonnet" }, { message: undefined }, { message: null }, { message: "text" }])(
    "without a message is a TypeError: %j",
    async (request) => {
      const { server } = await poolOf({ id: "a" });

      expect(() => server.dispatch(request as never)).toThrow(TypeError);
      expect(() => server.dispatch(undefined as never)).toThrow(TypeError);
    },
  );

  test("with a model that is no string is a TypeError, with one that is null as without", async () => {
    const { server } = await poolOf({ id: "a" });

    expect(() => server.dispatch({ model: 5 as never, message: work("r1") })).toThrow(TypeError);
    expect(dispatched(server, null as never)).toBe("a");
  });

  test("does not ask whether the request is already in flight", async () => {
    const { server } = await poolOf({ id: "a" }, { id: "b" });

    server.dispatch({ message: work("r1") });
    server.dispatch({ message: work("r1") });

    expect(server.listWorkers().map((worker) => worker.requests.pendingIds)).toEqual([["r1"], ["r1"]]);
  });

  test("works with requests that were tracked by hand, and the other way round", async () => {
    const { server } = await poolOf({ id: "a", max: 2 });
    server.trackRequest("a", "by hand");
    const handle = server.dispatch({ message: work("r1") })!;
    expect(server.dispatch({ message: work("r2") })).toBeNull();

    server.releaseRequest("r1", { incrementCompleted: true });
    handle.complete();

    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 1, completedRequests: 1 });
  });
});

describe("a candidate", () => {
  test("has the model, which is matched as getAvailableWorker does", async () => {
    const { server } = await poolOf({ id: "a", models: ["claude-sonnet-4"] }, { id: "b", models: ["opus"] });

    expect(dispatched(server, "sonnet")).toBe("a");
    expect(dispatched(server, "opus-4")).toBe("b");
    expect(dispatched(server, "haiku")).toBeUndefined();
    expect(dispatched(server, "")).toBe("a");
  });

  test("needs no model when none is given", async () => {
    const { server, port } = await poolOf({ id: "without", models: [], max: 1 });
    expect(dispatched(server)).toBe("without");
    expect(dispatched(server, "")).toBeUndefined();

    await registerAs(port, { id: "later", models: ["new"], max: 1 });
    server.trackRequest("without", "r1");

    expect(dispatched(server)).toBe("later");
  });

  test("is available and below its capacity", async () => {
    const { server } = await poolOf({ id: "a", max: 1 }, { id: "zero", max: 0 });
    const handle = server.dispatch({ message: work("r1") })!;
    expect(dispatched(server)).toBeUndefined();

    handle.fail();

    expect(dispatched(server)).toBe("a");
  });

  test("is below its limit for the category", async () => {
    const { server } = await poolOf({ id: "a", limits: { video: 1, none: 0, null: null } });
    server.dispatch({ category: "video", message: work("r1") });

    expect(dispatched(server, undefined, "video")).toBeUndefined();
    expect(dispatched(server, "sonnet", "video")).toBeUndefined();
    expect(dispatched(server, undefined, "none")).toBeUndefined();
    expect(dispatched(server, undefined, "null")).toBeUndefined();
    expect(dispatched(server, undefined, "audio")).toBe("a");
    expect(dispatched(server)).toBe("a");
  });

  test.each(["toString", "__proto__", "constructor"])(
    "is not limited by what every object inherits: %s",
    async (category) => {
      const { server } = await poolOf({ id: "a", limits: { video: 1 } });
      server.dispatch({ category, message: work("r1") });

      expect(dispatched(server, undefined, category)).toBe("a");
      expect(Object.entries(server.listWorkers()[0]!.requests.activeByCategory)).toEqual([[category, 1]]);
    },
  );

  test("may become one by an edit of its capabilities", async () => {
    const { server } = await poolOf({ id: "a", max: 0 });
    infoOf(server, "a").capabilities.maxConcurrentRequests = 1;

    expect(dispatched(server)).toBe("a");
    infoOf(server, "a").capabilities.maxConcurrentRequests = NaN;
    expect(dispatched(server)).toBeUndefined();
  });
});

describe("complete and fail", () => {
  test("end the request; only complete counts it as completed", async () => {
    const { server } = await poolOf({ id: "a" });

    server.dispatch({ message: work("r1") })!.complete();
    server.dispatch({ message: work("r2") })!.fail();

    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 0, completedRequests: 1 });
  });

  test("do something once, whichever comes first, also when called detached", async () => {
    const { server } = await poolOf({ id: "a" });
    const { complete, fail } = server.dispatch({ message: work("r1") })!;

    expect(complete()).toBeUndefined();
    server.trackRequest("a", "r1");
    complete();
    expect(fail()).toBeUndefined();

    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 1, completedRequests: 1 });
  });

  test("go by the request's id: a second handle of the same id can end the other's", async () => {
    const { server } = await poolOf({ id: "a" }, { id: "b" });
    const first = server.dispatch({ message: work("r1") })!;
    const second = server.dispatch({ message: work("r1") })!;
    expect([first.worker.id, second.worker.id]).toEqual(["a", "b"]);

    second.complete();
    expect(infoOf(server, "a").activeRequests).toBe(0);
    first.complete();

    expect(infoOf(server, "b").activeRequests).toBe(0);
  });

  test("do nothing once the worker has left", async () => {
    const { server, workers } = await poolOf({ id: "a" }, { id: "b" });
    const handle = server.dispatch({ message: work("r1") })!;
    const gone = new Promise((resolve) => server.onWorkerDisconnected(resolve));
    await workers[0]!.close();
    await gone;

    handle.complete();

    expect(server.listWorkers().map(({ id, requests }) => [id, requests.completed])).toEqual([["b", 0]]);
  });
});

describe("availableSlots", () => {
  test("counts what the available workers still take", async () => {
    const { server } = await poolOf({ id: "a", max: 4, limits: { video: 2 } }, { id: "b", max: 3 });

    server.dispatch({ category: "video", message: work("r1") });

    expect(server.availableSlots("sonnet")).toBe(6);
    expect(server.availableSlots("sonnet", "video")).toBe(4);
    expect(server.availableSlots("opus")).toBe(0);
    expect(() => server.availableSlots(undefined as never)).toThrow(TypeError);
  });

  test("counts a worker over its limit as none, where getAvailableSlotCount takes it off", async () => {
    const { server } = await poolOf({ id: "a", limits: { video: 1 } }, { id: "b" });
    for (const id of ["r1", "r2", "r3"]) server.trackRequest("a", id, "video");

    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(2);
    expect(server.availableSlots("sonnet", "video")).toBe(4);
  });
});
