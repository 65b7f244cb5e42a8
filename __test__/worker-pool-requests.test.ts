import { WorkerStatus } from "../index.js";
import { plainCapabilities, poolOf, type PlainWorker } from "./support/plain-worker";

function counts(worker: PlainWorker): unknown[] {
  return [
    worker.activeRequests,
    [...worker.pendingRequests],
    Object.fromEntries(worker.categoryActiveRequests),
  ];
}

describe("trackRequest()", () => {
  test("counts the request, lists it and counts its category", () => {
    const { pool, workers } = poolOf({});
    const { pendingRequests, categoryActiveRequests } = workers[0]!;

    expect(pool.trackRequest("worker-1", "r1")).toBeUndefined();
    pool.trackRequest("worker-1", "r2", "video");

    expect(counts(workers[0]!)).toEqual([2, ["r1", "r2"], { video: 1 }]);
    expect([...workers[0]!.requestCategories]).toEqual([["r2", "video"]]);
    expect(workers[0]!.pendingRequests).toBe(pendingRequests);
    expect(workers[0]!.categoryActiveRequests).toBe(categoryActiveRequests);
    expect(workers[0]!.status).toBe("available");
  });

  test("of an unknown worker does nothing", () => {
    const { pool, workers } = poolOf({});

    pool.trackRequest("worker-2", "r1");

    expect(counts(workers[0]!)).toEqual([0, [], {}]);
  });

  test.each(["available", "busy", "draining", "unhealthy"])(
    "makes a full worker busy that was %s",
    (status) => {
      const { pool, workers } = poolOf({ status: status as WorkerStatus, activeRequests: 2 });

      pool.trackRequest("worker-1", "r1");
      expect(workers[0]!.status).toBe(status);

      pool.trackRequest("worker-1", "r2");
      expect(workers[0]!.status).toBe("busy");
    },
  );

  test("enforces no limit", () => {
    const { pool, workers } = poolOf({ capabilities: plainCapabilities(1, ["sonnet"], { video: 1 }) });

    for (const request of ["r1", "r2", "r3"]) pool.trackRequest("worker-1", request, "video");

    expect(counts(workers[0]!)).toEqual([3, ["r1", "r2", "r3"], { video: 3 }]);
  });

  test("goes on from counts that were edited", () => {
    const { pool, workers } = poolOf({});
    workers[0]!.activeRequests = 2;
    workers[0]!.categoryActiveRequests = new Map([["video", 5]]);
    workers[0]!.pendingRequests = new Set(["other"]);

    pool.trackRequest("worker-1", "r1", "video");

    expect(counts(workers[0]!)).toEqual([3, ["other", "r1"], { video: 6 }]);
  });
});

describe("releaseRequest()", () => {
  test("undoes the tracking, and keeps the category at 0", () => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1", "video");

    expect(pool.releaseRequest("r1")).toBeUndefined();

    expect(counts(workers[0]!)).toEqual([0, [], { video: 0 }]);
    expect(workers[0]!.requestCategories.size).toBe(0);
    expect(workers[0]!.completedRequests).toBe(0);
  });

  test.each([
    [{ incrementCompleted: true }, 1],
    [{ incrementCompleted: false }, 0],
    [{ incrementCompleted: 1 }, 0],
    [{ incrementCompleted: "true" }, 0],
    [{}, 0],
    [undefined, 0],
    [null, 0],
  ])("with %j adds %i to the completed ones", (options, completed) => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1");

    pool.releaseRequest("r1", options as never);

    expect(workers[0]!.completedRequests).toBe(completed);
  });

  test("of an unknown request does nothing", () => {
    const { pool, workers } = poolOf({ activeRequests: 1 });

    pool.releaseRequest("r1", { incrementCompleted: true });

    expect(counts(workers[0]!)).toEqual([1, [], {}]);
    expect(workers[0]!.completedRequests).toBe(0);
  });

  test("takes the first worker in order that has the request", () => {
    const { pool, workers } = poolOf({}, {}, {});
    pool.trackRequest("worker-3", "r1");
    pool.trackRequest("worker-2", "r1");

    pool.releaseRequest("r1");
    expect(workers.map((worker) => worker.activeRequests)).toEqual([0, 0, 1]);

    pool.releaseRequest("r1");
    expect(workers.map((worker) => worker.activeRequests)).toEqual([0, 0, 0]);
  });

  test("finds requests that were put into a set by hand", () => {
    const { pool, workers } = poolOf({}, {});
    pool.trackRequest("worker-2", "r1");
    workers[0]!.pendingRequests.add("r1");
    workers[0]!.activeRequests = 3;

    pool.releaseRequest("r1", { incrementCompleted: true });

    expect(counts(workers[0]!)).toEqual([2, [], {}]);
    expect(workers[0]!.completedRequests).toBe(1);
    expect(counts(workers[1]!)).toEqual([1, ["r1"], {}]);
  });

  test("finds requests in a set that was exchanged, and none that was taken out", () => {
    const { pool, workers } = poolOf({ activeRequests: 2, pendingRequests: new Set(["r1"]) });
    workers[0]!.pendingRequests = new Set(["r2"]);

    pool.releaseRequest("r1");
    expect(workers[0]!.activeRequests).toBe(2);

    pool.releaseRequest("r2");
    expect(workers[0]!.activeRequests).toBe(1);
  });

  test("does not count below 0", () => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1", "video");
    workers[0]!.activeRequests = 0;
    workers[0]!.categoryActiveRequests.set("video", 0);

    pool.releaseRequest("r1");

    expect(counts(workers[0]!)).toEqual([0, [], { video: 0 }]);
  });

  test("makes a busy worker available once it is below its capacity", () => {
    const { pool, workers } = poolOf({ capabilities: plainCapabilities(1) });
    for (const request of ["r1", "r2"]) pool.trackRequest("worker-1", request);

    pool.releaseRequest("r1");
    expect(workers[0]!.status).toBe("busy");

    pool.releaseRequest("r2");
    expect(workers[0]!.status).toBe("available");
  });

  test.each(["draining", "unhealthy"])("leaves a worker %s", (status) => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1");
    workers[0]!.status = status as WorkerStatus;

    pool.releaseRequest("r1");

    expect(workers[0]!.status).toBe(status);
  });

  test("of a removed worker's request does nothing", () => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1");
    pool.remove("worker-1");

    pool.releaseRequest("r1");

    expect(counts(workers[0]!)).toEqual([1, ["r1"], {}]);
  });
});

test("draining is lost by reaching the capacity", () => {
  const { pool, workers } = poolOf({ status: WorkerStatus.Draining, capabilities: plainCapabilities(1) });

  pool.trackRequest("worker-1", "r1");
  pool.releaseRequest("r1");

  expect(workers[0]!.status).toBe("available");
});

describe("a request that is tracked twice", () => {
  test("is counted twice, listed once, and of the last category", () => {
    const { pool, workers } = poolOf({});

    pool.trackRequest("worker-1", "r1", "video");
    pool.trackRequest("worker-1", "r1", "audio");

    expect(counts(workers[0]!)).toEqual([2, ["r1"], { video: 1, audio: 1 }]);
    expect(workers[0]!.requestCategories.get("r1")).toBe("audio");
  });

  test("is released once, and then not found", () => {
    const { pool, workers } = poolOf({});
    pool.trackRequest("worker-1", "r1", "video");
    pool.trackRequest("worker-1", "r1", "audio");

    pool.releaseRequest("r1");
    pool.releaseRequest("r1");

    expect(counts(workers[0]!)).toEqual([1, [], { video: 1, audio: 0 }]);
  });
});
