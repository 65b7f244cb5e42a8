import type { WorkerInfo, WorkerServer } from "../index.js";
import { checkAtAge, useFakeClock } from "./support/fake-clock";
import { infoOf } from "./support/infos";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities } from "./support/test-worker";
import { until } from "./support/until";

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

/** A server with workers "a", "b", … of these capacities. */
async function serverWith(...capacities: number[]): Promise<{ server: WorkerServer; port: number }> {
  const { server, port } = await startServer();
  for (const [index, maxConcurrentRequests] of capacities.entries()) {
    await TestWorker.register(port, {
      workerId: "abcdefghij"[index],
      capabilities: capabilities({ maxConcurrentRequests }),
    });
  }
  return { server, port };
}

/** What tracking and releasing change, as plain data. */
function tracked(server: WorkerServer, id = "a"): Record<string, unknown> {
  const info = infoOf(server, id);
  return {
    status: info.status,
    active: info.activeRequests,
    completed: info.completedRequests,
    pending: [...info.pendingRequestIds],
    categories: Object.fromEntries(info.categoryActiveRequests),
  };
}

describe("trackRequest", () => {
  test("counts the request, lists its id and counts its category", async () => {
    const { server } = await serverWith(4);

    server.trackRequest("a", "r1", "video");

    expect(tracked(server)).toEqual({
      status: "available",
      active: 1,
      completed: 0,
      pending: ["r1"],
      categories: { video: 1 },
    });
  });

  test("without a category touches no category", async () => {
    const { server } = await serverWith(4);

    server.trackRequest("a", "r1");

    expect(tracked(server)).toMatchObject({ active: 1, categories: {} });
  });

  test("lists the ids and the categories in the order they came", async () => {
    const { server } = await serverWith(9);

    for (const [id, category] of ["r3 z", "r1 y", "r2 z", "10 x", "9 y"].map((text) => text.split(" "))) {
      server.trackRequest("a", id!, category);
    }

    const { pendingRequestIds, categoryActiveRequests } = infoOf(server, "a");
    expect([...pendingRequestIds]).toEqual(["r3", "r1", "r2", "10", "9"]);
    expect([...categoryActiveRequests]).toEqual([
      ["z", 2],
      ["y", 2],
      ["x", 1],
    ]);
  });

  test("touches the named worker only", async () => {
    const { server } = await serverWith(4, 4);
    const before = tracked(server, "b");

    server.trackRequest("a", "r1", "video");

    expect(tracked(server, "b")).toEqual(before);
  });

  test("of an unknown worker does nothing", async () => {
    const { server } = await serverWith(4);
    const before = tracked(server);

    server.trackRequest("nobody", "r1", "video");
    server.releaseRequest("r1", { incrementCompleted: true });

    expect(tracked(server)).toEqual(before);
  });

  test("makes the worker busy with the request that reaches its capacity", async () => {
    const { server } = await serverWith(2);

    server.trackRequest("a", "r1");
    expect(tracked(server)).toMatchObject({ status: "available" });
    server.trackRequest("a", "r2");
    expect(tracked(server)).toMatchObject({ status: "busy" });
  });

  test("enforces neither the capacity nor a category limit", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port, {
      workerId: "a",
      capabilities: capabilities({ maxConcurrentRequests: 1, concurrencyLimits: { video: 1 } }),
    });

    for (const id of ["r1", "r2", "r3"]) server.trackRequest("a", id, "video");

    expect(tracked(server)).toMatchObject({ status: "busy", active: 3, categories: { video: 3 } });
  });

  test("makes an unhealthy worker busy when it reaches its capacity, and not before", async () => {
    useFakeClock();
    const { server, port } = await startServer({ heartbeatTimeoutMs: 10_000, healthCheckIntervalMs: 1_000 });
    await TestWorker.register(port, { capabilities: capabilities({ maxConcurrentRequests: 2 }) });
    checkAtAge(server, 10_001, 1_000);

    server.trackRequest("worker-1", "r1");
    expect(infoOf(server).status).toBe("unhealthy");
    server.trackRequest("worker-1", "r2");
    expect(infoOf(server).status).toBe("busy");
  });

  test.each(["", "__proto__", "größer-😀", "\ud800", "x".repeat(10_000)])(
    "takes %j as request id and as category",
    async (text) => {
      const { server } = await serverWith(4);

      server.trackRequest("a", text, text);
      const { pendingRequestIds, categoryActiveRequests } = infoOf(server, "a");
      expect([[...pendingRequestIds], [...categoryActiveRequests]]).toEqual([[text], [[text, 1]]]);

      server.releaseRequest(text);
      expect([pendingRequestIds.size, categoryActiveRequests.get(text)]).toEqual([0, 0]);
    },
  );
});

describe("releaseRequest", () => {
  test("takes the request away and keeps its category with a count of 0", async () => {
    const { server } = await serverWith(4);
    server.trackRequest("a", "r1", "video");

    server.releaseRequest("r1");

    expect(tracked(server)).toEqual({
      status: "available",
      active: 0,
      completed: 0,
      pending: [],
      categories: { video: 0 },
    });
  });

  test.each([
    [1, { incrementCompleted: true }],
    [0, undefined],
    [0, {}],
    [0, { incrementCompleted: false }],
    [0, { incrementCompleted: 1 }],
    [0, { incrementCompleted: "true" }],
  ])("adds %d to the completed requests when given %j", async (completed, options) => {
    const { server } = await serverWith(4);
    server.trackRequest("a", "r1");

    server.releaseRequest("r1", options as never);

    expect(tracked(server)).toMatchObject({ completed });
  });

  test("of an unknown request does nothing", async () => {
    const { server } = await serverWith(4);
    server.trackRequest("a", "r1", "video");
    const before = tracked(server);

    for (const id of ["r2", "", "R1", "video", undefined]) {
      server.releaseRequest(id as string, { incrementCompleted: true });
    }

    expect(tracked(server)).toEqual(before);
  });

  test("makes a busy worker available only once it is below its capacity", async () => {
    const { server } = await serverWith(2);
    for (const id of ["r1", "r2", "r3"]) server.trackRequest("a", id);

    server.releaseRequest("r1");
    expect(tracked(server)).toMatchObject({ status: "busy", active: 2 });
    server.releaseRequest("r2");
    expect(tracked(server)).toMatchObject({ status: "available", active: 1 });
  });

  test("leaves an unhealthy worker unhealthy", async () => {
    useFakeClock();
    const { server, port } = await startServer({ heartbeatTimeoutMs: 10_000, healthCheckIntervalMs: 1_000 });
    await TestWorker.register(port, { capabilities: capabilities({ maxConcurrentRequests: 1 }) });
    server.trackRequest("worker-1", "r1");
    checkAtAge(server, 10_001, 1_000);

    server.releaseRequest("r1");

    expect(infoOf(server)).toMatchObject({ status: "unhealthy", activeRequests: 0 });
  });

  test("of each id while walking the live set empties it", async () => {
    const { server } = await serverWith(9);
    for (const id of ["r1", "r2", "r3", "r4"]) server.trackRequest("a", id);

    for (const id of infoOf(server, "a").pendingRequestIds) server.releaseRequest(id);

    expect(tracked(server)).toMatchObject({ active: 0, pending: [] });
  });

  test("after the worker has gone does nothing to its successor of the same id", async () => {
    const { server, port } = await startServer();
    const first = await TestWorker.register(port);
    server.trackRequest("worker-1", "r1", "video");
    await first.close();
    await until(() => server.getWorkerCount() === 0, "the worker is removed");
    await TestWorker.register(port);

    server.releaseRequest("r1", { incrementCompleted: true });

    expect(tracked(server, "worker-1")).toEqual({
      status: "available",
      active: 0,
      completed: 0,
      pending: [],
      categories: {},
    });
  });
});

describe("one request id tracked twice", () => {
  test("for one worker counts twice, is listed once and can be released once", async () => {
    const { server } = await serverWith(9);

    server.trackRequest("a", "r1", "video");
    server.trackRequest("a", "r1", "audio");
    expect(tracked(server)).toMatchObject({ active: 2, pending: ["r1"], categories: { video: 1, audio: 1 } });

    server.releaseRequest("r1", { incrementCompleted: true });
    server.releaseRequest("r1", { incrementCompleted: true });
    expect(tracked(server)).toMatchObject({
      active: 1,
      completed: 1,
      pending: [],
      categories: { video: 1, audio: 0 },
    });
  });

  test("for two workers is released at the first of the pool first", async () => {
    const { server } = await serverWith(9, 9);
    server.trackRequest("b", "r1");
    server.trackRequest("a", "r1");

    server.releaseRequest("r1");
    expect([tracked(server, "a"), tracked(server, "b")]).toMatchObject([{ active: 0 }, { active: 1 }]);
    server.releaseRequest("r1");
    expect([tracked(server, "a"), tracked(server, "b")]).toMatchObject([{ active: 0 }, { active: 0 }]);
  });
});

describe("long sequences", () => {
  interface Model {
    max: number;
    status: string;
    active: number;
    completed: number;
    pending: Map<string, string | undefined>;
    categories: Map<string, number>;
  }

  /** The rules once more, as short as they can be said. */
  class Rules {
    readonly workers = new Map<string, Model>();
    track(id: string, request: string, category: string | undefined): void {
      const worker = this.workers.get(id)!;
      worker.active++;
      worker.pending.set(request, category);
      if (category !== undefined) {
        worker.categories.set(category, (worker.categories.get(category) ?? 0) + 1);
      }
      if (worker.active >= worker.max) worker.status = "busy";
    }
    release(request: string, completed: boolean): void {
      const worker = [...this.workers.values()].find(({ pending }) => pending.has(request));
      if (!worker) return;
      const category = worker.pending.get(request);
      worker.pending.delete(request);
      worker.active--;
      if (category !== undefined) worker.categories.set(category, worker.categories.get(category)! - 1);
      if (completed) worker.completed++;
      if (worker.active < worker.max) worker.status = "available";
    }
  }

  function asPlainData(info: WorkerInfo): unknown[] {
    return [
      info.status,
      info.activeRequests,
      info.completedRequests,
      [...info.pendingRequestIds],
      [...info.categoryActiveRequests],
    ];
  }

  /** A sequence of numbers below 2^32 that looks random and is the same in every run. */
  function* numbers(seed: number): Generator<number, never> {
    for (let state = seed; ;) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      yield state;
    }
  }

  test.each([1, 2, 3])("of track and release leave what the rules say (%d)", async (seed) => {
    const capacities = [1, 2, 3, 5, 8];
    const { server } = await serverWith(...capacities);
    const rules = new Rules();
    for (const [index, max] of capacities.entries()) {
      rules.workers.set("abcde"[index]!, {
        max,
        status: "available",
        active: 0,
        completed: 0,
        pending: new Map(),
        categories: new Map(),
      });
    }
    const random = numbers(seed);
    const below = (limit: number) => Math.floor((random.next().value / 2 ** 32) * limit);

    for (let step = 0; step < 2000; step++) {
      if (below(2) === 0) {
        const call = ["abcde"[below(5)]!, `r${step}`, [undefined, "video", "audio"][below(3)]] as const;
        server.trackRequest(...call);
        rules.track(...call);
      } else {
        const request = `r${below(step + 10)}`;
        const completed = below(2) === 0;
        server.releaseRequest(request, { incrementCompleted: completed });
        rules.release(request, completed);
      }
    }

    expect(server.getWorkerInfo().map(asPlainData)).toEqual(
      [...rules.workers.values()].map(({ status, active, completed, pending, categories }) => [
        status,
        active,
        completed,
        [...pending.keys()],
        [...categories],
      ]),
    );
  });

  test("of 20000 requests leave nothing behind once all are released", async () => {
    const { server } = await serverWith(100_000, 100_000);
    const ids = Array.from({ length: 20_000 }, (_, index) => `request-${index}`);

    for (const [index, id] of ids.entries()) server.trackRequest("ab"[index % 2]!, id, "video");
    expect([infoOf(server, "a").activeRequests, infoOf(server, "b").activeRequests]).toEqual([
      10_000, 10_000,
    ]);
    for (const id of ids.reverse()) server.releaseRequest(id, { incrementCompleted: true });

    for (const id of ["a", "b"]) {
      expect(tracked(server, id)).toMatchObject({
        active: 0,
        completed: 10_000,
        pending: [],
        categories: { video: 0 },
      });
    }
  });
});
