import { toWorkerInfo, WorkerPool, WorkerStatus } from "../index.js";
import { plainWorker, poolOf } from "./support/plain-worker";

describe("a new pool", () => {
  test("is empty and answers all questions", () => {
    const pool = new WorkerPool();

    expect(pool.getCount()).toBe(0);
    expect(pool.getAvailableCount()).toBe(0);
    expect([...pool.values()]).toEqual([]);
    expect(pool.getWorkerInfoList()).toEqual([]);
    expect(pool.get("a")).toBeUndefined();
    expect(pool.has("a")).toBe(false);
    expect(pool.remove("a")).toBeUndefined();
    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAvailableWorker("sonnet", "video")).toBeNull();
    expect(pool.getAnyAvailableWorker()).toBeNull();
    expect(pool.getAvailableSlotCount("sonnet")).toBe(0);
    expect(pool.checkHealth(0)).toEqual([]);
    expect(pool.send("a", {})).toBe(false);
    expect(pool.trackRequest("a", "r")).toBeUndefined();
    expect(pool.releaseRequest("r")).toBeUndefined();
    expect(pool.broadcast({})).toBeUndefined();
    expect(pool.closeAll()).toBeUndefined();
  });

  test("is a class", () => {
    const call = WorkerPool as unknown as () => unknown;

    expect(() => call()).toThrow(TypeError);
    expect(WorkerPool.name).toBe("WorkerPool");
  });

  test.each([
    "add",
    "remove",
    "get",
    "has",
    "values",
    "getAvailableWorker",
    "getAnyAvailableWorker",
    "getAvailableSlotCount",
    "getCount",
    "getAvailableCount",
    "getWorkerInfoList",
    "trackRequest",
    "releaseRequest",
    "checkHealth",
    "send",
    "broadcast",
    "closeAll",
  ])("has %s() on its prototype", (name) => {
    expect(typeof (WorkerPool.prototype as never)[name]).toBe("function");
  });
});

describe("the workers", () => {
  test("are the very objects that were given", () => {
    const { pool, workers } = poolOf({}, {});
    const [first, second] = workers;

    expect(pool.get("worker-1")).toBe(first);
    expect([...pool.values()][1]).toBe(second);
    expect(pool.getAvailableWorker("sonnet")).toBe(first);
    expect(pool.getAnyAvailableWorker()).toBe(first);
    expect(pool.remove("worker-1")).toBe(first);
  });

  test("are left as they are", () => {
    const worker = Object.freeze(plainWorker());
    const before = { ...worker };
    const pool = new WorkerPool();

    pool.add(worker);
    pool.getAvailableWorker("sonnet");

    expect(pool.get("worker-1")).toBe(worker);
    expect(worker).toStrictEqual(before);
  });

  test("come in the order in which they were added", () => {
    const { pool } = poolOf({ id: "b" }, { id: "a" }, { id: "10" }, { id: "9" });

    expect([...pool.values()].map(({ id }) => id)).toEqual(["b", "a", "10", "9"]);
    expect(pool.getWorkerInfoList().map(({ id }) => id)).toEqual(["b", "a", "10", "9"]);
  });

  test("go to the end when they are removed and added again", () => {
    const { pool, workers } = poolOf({}, {}, {});

    pool.remove("worker-1");
    pool.add(workers[0]!);

    expect([...pool.values()].map(({ id }) => id)).toEqual(["worker-2", "worker-3", "worker-1"]);
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[1]);
  });

  test("are replaced in their place, and nothing is closed", () => {
    const { pool, workers } = poolOf({}, {}, {});
    const other = plainWorker({ id: "worker-2", name: "Other" });
    pool.getAvailableWorker("sonnet");

    pool.add(other);

    expect(pool.getCount()).toBe(3);
    expect(pool.get("worker-2")).toBe(other);
    expect([...pool.values()]).toEqual([workers[0], other, workers[2]]);
    expect(pool.getWorkerInfoList().map(({ name }) => name)).toEqual(["Worker One", "Other", "Worker One"]);
    expect(workers[1]!.websocket.closes).toEqual([]);
  });

  test("are known by the id they were added with", () => {
    const { pool, workers } = poolOf({});

    workers[0]!.id = "renamed";

    expect(pool.get("worker-1")).toBe(workers[0]);
    expect(pool.has("renamed")).toBe(false);
    expect(pool.getAvailableWorker("sonnet")?.id).toBe("renamed");
  });

  test("may be in two pools", () => {
    const { pool, workers } = poolOf({});
    const other = new WorkerPool();
    other.add(workers[0]!);

    pool.trackRequest("worker-1", "r");

    expect(other.get("worker-1")?.activeRequests).toBe(1);
    other.releaseRequest("r");
    expect(pool.get("worker-1")?.activeRequests).toBe(0);
  });
});

describe("values()", () => {
  test("is live", () => {
    const { pool } = poolOf({}, {}, {});
    const seen: string[] = [];

    for (const { id } of pool.values()) {
      seen.push(id);
      if (id === "worker-1") {
        pool.remove("worker-2");
        pool.add(plainWorker({ id: "worker-4" }));
      }
    }

    expect(seen).toEqual(["worker-1", "worker-3", "worker-4"]);
  });

  test("starts anew at each call", () => {
    const { pool } = poolOf({});

    expect([...pool.values()]).toHaveLength(1);
    expect([...pool.values()]).toHaveLength(1);
  });
});

test("counts go by the status of the moment", () => {
  const { pool, workers } = poolOf({}, {}, { status: WorkerStatus.Busy }, { status: WorkerStatus.Unhealthy });
  expect(pool.getCount()).toBe(4);
  expect(pool.getAvailableCount()).toBe(2);

  workers[0]!.status = WorkerStatus.Draining;
  workers[3]!.status = "available" as WorkerStatus;
  workers[1]!.status = "on holiday" as WorkerStatus;

  expect(pool.getCount()).toBe(4);
  expect(pool.getAvailableCount()).toBe(1);
});

test("infos have everything but the socket, and the live parts", () => {
  const { pool, workers } = poolOf({});
  const worker = workers[0]!;

  const [info] = pool.getWorkerInfoList();

  expect(info).toStrictEqual(toWorkerInfo(worker));
  expect(Object.keys(info!)).toEqual([
    "id",
    "name",
    "status",
    "capabilities",
    "sessionId",
    "connectedAt",
    "lastHeartbeat",
    "activeRequests",
    "completedRequests",
    "pendingRequestIds",
    "categoryActiveRequests",
  ]);
  expect(info!.capabilities).toBe(worker.capabilities);
  expect(info!.pendingRequestIds).toBe(worker.pendingRequests);
  expect(info!.categoryActiveRequests).toBe(worker.categoryActiveRequests);
  expect(info!.lastHeartbeat).toBe(worker.lastHeartbeat);
  expect(pool.getWorkerInfoList()[0]).not.toBe(info);
});
