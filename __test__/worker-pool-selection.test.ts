import { WorkerPool, WorkerStatus } from "../index.js";
import { plainCapabilities, plainWorker, poolOf, type PlainWorker } from "./support/plain-worker";

const limited = (limits: unknown, max = 4) => plainCapabilities(max, ["sonnet"], limits);

describe("the wanted model", () => {
  test.each([
    ["sonnet", ["sonnet"]],
    ["sonnet", ["claude-sonnet-4"]],
    ["claude-sonnet-4", ["sonnet"]],
    ["sonnet", ["opus", "sonnet"]],
    ["", ["opus"]],
    ["opus", [""]],
    ["größer-😀", ["😀"]],
  ])("%j is served by a worker with %j", (wanted, models) => {
    const { pool, workers } = poolOf({ capabilities: plainCapabilities(4, models) });

    expect(pool.getAvailableWorker(wanted)).toBe(workers[0]);
    expect(pool.getAvailableSlotCount(wanted)).toBe(4);
  });

  test.each([
    ["sonnet", ["opus"]],
    ["Sonnet", ["sonnet"]],
    ["sonnet-4", ["sonnet-3"]],
    ["sonnet", []],
    ["", []],
  ])("%j is not served by a worker with %j", (wanted, models) => {
    const { pool } = poolOf({ capabilities: plainCapabilities(4, models) });

    expect(pool.getAvailableWorker(wanted)).toBeNull();
    expect(pool.getAvailableSlotCount(wanted)).toBe(0);
  });
});

describe("the least loaded worker", () => {
  test("is the one with the lowest share of its capacity", () => {
    const { pool, workers } = poolOf(
      { activeRequests: 1, capabilities: plainCapabilities(2) },
      { activeRequests: 3, capabilities: plainCapabilities(10) },
      { activeRequests: 2, capabilities: plainCapabilities(5) },
    );

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[1]);
  });

  test("is the first one among equals", () => {
    const { pool, workers } = poolOf(
      { activeRequests: 2, capabilities: plainCapabilities(4) },
      { activeRequests: 1, capabilities: plainCapabilities(2) },
    );

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
  });

  test.each([WorkerStatus.Busy, WorkerStatus.Draining, WorkerStatus.Unhealthy])("is never %s", (status) => {
    const { pool } = poolOf({ status });

    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAvailableSlotCount("sonnet")).toBe(0);
  });

  test.each([
    ["at its capacity", { activeRequests: 4 }],
    ["over its capacity", { activeRequests: 5 }],
    ["without capacity", { capabilities: plainCapabilities(0) }],
    [
      "without capacity and with a negative count",
      { activeRequests: -1, capabilities: plainCapabilities(0) },
    ],
    ["with a negative capacity", { activeRequests: -9, capabilities: plainCapabilities(-1) }],
    ["without a capacity that is a number", { capabilities: plainCapabilities(NaN) }],
    ["without a count that is a number", { activeRequests: NaN }],
  ])("is never one %s", (_what, worker: Partial<PlainWorker>) => {
    const { pool } = poolOf(worker);

    expect(pool.getAvailableWorker("sonnet")).toBeNull();
  });

  test("is never one whose capacity is missing", () => {
    const { pool, workers } = poolOf({});
    delete (workers[0]!.capabilities as Partial<PlainWorker["capabilities"]>).maxConcurrentRequests;

    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAvailableSlotCount("sonnet")).toBe(0);
  });

  test("may have no limit at all", () => {
    const { pool, workers } = poolOf({ activeRequests: 9, capabilities: plainCapabilities(Infinity) });

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
    expect(pool.getAvailableSlotCount("sonnet")).toBe(Infinity);
  });
});

describe("edits by hand count at once:", () => {
  const edits: [string, (worker: PlainWorker) => void][] = [
    ["the status", (worker) => (worker.status = WorkerStatus.Draining)],
    ["the count", (worker) => (worker.activeRequests = 4)],
    ["the capacity", (worker) => (worker.capabilities.maxConcurrentRequests = 0)],
    ["the name of a model", (worker) => (worker.capabilities.models[0]!.modelId = "opus")],
    ["a model less", (worker) => worker.capabilities.models.pop()],
    ["other models", (worker) => (worker.capabilities.models = [])],
    ["other capabilities", (worker) => (worker.capabilities = plainCapabilities(4, ["opus"]))],
  ];

  test.each(edits)("%s", (_what, edit) => {
    const { pool, workers } = poolOf({}, { activeRequests: 3 });
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);

    edit(workers[0]!);

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[1]);
    expect(pool.getAvailableSlotCount("sonnet")).toBe(1);
  });

  test("a model more", () => {
    const { pool, workers } = poolOf({});
    expect(pool.getAvailableWorker("opus")).toBeNull();

    workers[0]!.capabilities.models.push({ modelId: "opus" } as never);

    expect(pool.getAvailableWorker("opus")).toBe(workers[0]);
  });

  test("in a large pool too", () => {
    const { pool, workers } = poolOf(...Array.from({ length: 500 }, () => ({ activeRequests: 1 })));

    workers[400]!.activeRequests = 0;
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[400]);

    workers[300]!.categoryActiveRequests.set("video", 1);
    workers[300]!.capabilities.concurrencyLimits = { video: 1 };
    workers[300]!.activeRequests = -1;
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[300]);
    expect(pool.getAvailableWorker("sonnet", "video")).toBe(workers[400]);
  });

  test("removals and additions between two questions", () => {
    const { pool, workers } = poolOf({}, {}, {});

    pool.remove("worker-1");
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[1]);
    pool.remove("worker-2");
    pool.remove("worker-3");
    expect(pool.getAvailableWorker("sonnet")).toBeNull();

    const late = plainWorker({ id: "late" });
    pool.add(late);
    expect(pool.getAvailableWorker("sonnet")).toBe(late);
  });
});

describe("a category", () => {
  test("excludes workers that are at their limit for it", () => {
    const { pool, workers } = poolOf(
      { capabilities: limited({ video: 1 }), categoryActiveRequests: new Map([["video", 1]]) },
      {
        activeRequests: 3,
        capabilities: limited({ video: 2 }),
        categoryActiveRequests: new Map([["video", 1]]),
      },
    );

    expect(pool.getAvailableWorker("sonnet", "video")).toBe(workers[1]);
    expect(pool.getAvailableWorker("sonnet", "audio")).toBe(workers[0]);
    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
  });

  test("follows the live map", () => {
    const { pool, workers } = poolOf({ capabilities: limited({ video: 1 }) });

    workers[0]!.categoryActiveRequests.set("video", 1);
    expect(pool.getAvailableWorker("sonnet", "video")).toBeNull();

    workers[0]!.categoryActiveRequests = new Map();
    expect(pool.getAvailableWorker("sonnet", "video")).toBe(workers[0]);
  });

  test.each([
    ["0", 0],
    ["null, which counts as 0", null],
    ["negative", -1],
  ])("is closed by a limit that is %s", (_what, limit) => {
    const { pool } = poolOf({ capabilities: limited({ video: limit }) });

    expect(pool.getAvailableWorker("sonnet", "video")).toBeNull();
  });

  test("has no limit where that is undefined", () => {
    const { pool, workers } = poolOf({ capabilities: limited({ video: undefined }) });

    expect(pool.getAvailableWorker("sonnet", "video")).toBe(workers[0]);
    expect(pool.getAvailableSlotCount("sonnet", "video")).toBe(4);
  });

  test("may be the empty string", () => {
    const { pool } = poolOf({ capabilities: limited({ "": 0 }) });

    expect(pool.getAvailableWorker("sonnet", "")).toBeNull();
    expect(pool.getAvailableSlotCount("sonnet", "")).toBe(0);
  });

  test.each(["toString", "constructor", "__proto__", "hasOwnProperty"])(
    "is not excluded by what objects inherit: %s",
    (category) => {
      const { pool, workers } = poolOf({ capabilities: limited({ video: 1 }) });

      expect(pool.getAvailableWorker("sonnet", category)).toBe(workers[0]);
      expect(pool.getAvailableSlotCount("sonnet", category)).toBe(4);
    },
  );

  test("is not excluded by an inherited limit", () => {
    const { pool, workers } = poolOf({ capabilities: limited(Object.create({ video: 0 })) });

    expect(pool.getAvailableWorker("sonnet", "video")).toBe(workers[0]);
  });
});

describe("the free slots", () => {
  test("are summed over the available workers with the model", () => {
    const { pool } = poolOf(
      { activeRequests: 1 },
      { capabilities: plainCapabilities(10, ["opus"]) },
      { status: WorkerStatus.Busy },
      { activeRequests: 2, capabilities: plainCapabilities(10) },
    );

    expect(pool.getAvailableSlotCount("sonnet")).toBe(11);
    expect(pool.getAvailableSlotCount("opus")).toBe(10);
  });

  test("of a worker over its capacity are negative", () => {
    const { pool } = poolOf({ activeRequests: 6 }, { activeRequests: 3 });

    expect(pool.getAvailableSlotCount("sonnet")).toBe(-1);
  });

  test("of a category are what its limit leaves, and negative beyond it", () => {
    const { pool } = poolOf(
      { capabilities: limited({ video: 2 }, 10), categoryActiveRequests: new Map([["video", 5]]) },
      { capabilities: limited({ video: 3 }, 10), categoryActiveRequests: new Map([["video", 1]]) },
      { capabilities: limited({ video: 9 }, 1) },
      { capabilities: limited({}, 1) },
    );

    expect(pool.getAvailableSlotCount("sonnet", "video")).toBe(-3 + 2 + 1 + 1);
    expect(pool.getAvailableSlotCount("sonnet", "audio")).toBe(10 + 10 + 1 + 1);
  });

  test.each([
    ["capacity", { capabilities: plainCapabilities("many") }],
    ["count", { activeRequests: NaN }],
    ["limit", { capabilities: limited({ video: "some" }) }],
  ])("of a worker whose %s is no number are 0", (_what, worker: Partial<PlainWorker>) => {
    const { pool } = poolOf(worker, { activeRequests: 1 });

    expect(pool.getAvailableSlotCount("sonnet", "video")).toBe(3);
  });

  test("are 0, not -0, when nothing is left", () => {
    const { pool } = poolOf({ activeRequests: 4 });

    expect(Object.is(pool.getAvailableSlotCount("sonnet"), 0)).toBe(true);
  });
});

describe("getAnyAvailableWorker()", () => {
  test("is the first worker that is available or busy, whatever its load and models", () => {
    const { pool, workers } = poolOf(
      { status: WorkerStatus.Unhealthy },
      { status: WorkerStatus.Draining },
      { status: WorkerStatus.Busy, activeRequests: 9, capabilities: plainCapabilities(1, []) },
      {},
    );

    expect(pool.getAnyAvailableWorker()).toBe(workers[2]);
    workers[1]!.status = WorkerStatus.Available;
    expect(pool.getAnyAvailableWorker()).toBe(workers[1]);
  });

  test("is null if there is none", () => {
    const { pool } = poolOf({ status: WorkerStatus.Unhealthy }, { status: WorkerStatus.Draining });

    expect(pool.getAnyAvailableWorker()).toBeNull();
  });
});

describe("garbage", () => {
  test.each([
    ["without modelId", [{}]],
    ["that is null", [null]],
  ])("a model %s is a TypeError", (_what, models) => {
    const { pool, workers } = poolOf({});
    workers[0]!.capabilities.models = models as never;

    expect(() => pool.getAvailableWorker("sonnet")).toThrow(TypeError);
    expect(() => pool.getAvailableSlotCount("sonnet")).toThrow(TypeError);
  });

  test("is a TypeError also on a worker with a higher load than another one", () => {
    const { pool, workers } = poolOf({}, { activeRequests: 3 });
    workers[1]!.capabilities.models = [null] as never;

    expect(() => pool.getAvailableWorker("sonnet")).toThrow(TypeError);
  });

  test("a model after the one that matches is not looked at", () => {
    const { pool, workers } = poolOf({});
    workers[0]!.capabilities.models.push({} as never);

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
  });

  test("is not looked at on a worker that is not available", () => {
    const { pool } = poolOf({ status: WorkerStatus.Busy, capabilities: null as never });

    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAvailableSlotCount("sonnet")).toBe(0);
  });

  test.each([[undefined], [null], [5], [{}], [/sonnet/]])(
    "%p as the wanted model is a TypeError",
    (wanted) => {
      const { pool } = poolOf({});

      expect(() => pool.getAvailableWorker(wanted as never)).toThrow(TypeError);
      expect(() => pool.getAvailableSlotCount(wanted as never)).toThrow(TypeError);
    },
  );

  test("is not asked for by an empty pool", () => {
    expect(new WorkerPool().getAvailableWorker(undefined as never)).toBeNull();
  });

  test("null as limits is a TypeError for a category only", () => {
    const { pool, workers } = poolOf({ capabilities: limited(null) });

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
    expect(() => pool.getAvailableWorker("sonnet", "video")).toThrow(TypeError);
  });
});
