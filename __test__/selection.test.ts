import { WorkerServer, WorkerStatus } from "../index.js";
import { infoOf } from "./support/infos";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";

afterEach(stopServers);

interface Wanted {
  id: string;
  models?: string[];
  max?: number;
  limits?: unknown;
}

/** A server with these workers, registered in this order. */
async function serverWith(...workers: Wanted[]): Promise<{ server: WorkerServer; port: number }> {
  const { server, port } = await startServer();
  for (const worker of workers) await register(port, worker);
  return { server, port };
}

function register(port: number, { id, models = ["sonnet"], max = 4, limits }: Wanted): Promise<TestWorker> {
  return TestWorker.register(port, {
    workerId: id,
    capabilities: capabilities({
      models: models.map(model),
      maxConcurrentRequests: max,
      concurrencyLimits: limits,
    }),
  });
}

let requests = 0;

/** Tracks so many new requests. */
function track(server: WorkerServer, id: string, count: number, category?: string): void {
  for (let index = 0; index < count; index++) server.trackRequest(id, `request-${++requests}`, category);
}

function selected(server: WorkerServer, wantedModel = "sonnet", category?: string): string | undefined {
  return server.getAvailableWorker(wantedModel, category)?.id;
}

describe("without workers", () => {
  test.each([
    ["before start()", () => new WorkerServer({ port: 0 })],
    ["with an empty pool", async () => (await startServer()).server],
    [
      "after stop()",
      async () => {
        const { server } = await serverWith({ id: "a" });
        await server.stop();
        return server;
      },
    ],
  ])("all queries say so: %s", async (_when, make) => {
    const server = await make();

    expect(server.getAvailableWorker("sonnet")).toBeNull();
    expect(server.getAvailableWorker("sonnet", "category")).toBeNull();
    expect(server.getAnyAvailableWorker()).toBeNull();
    expect(server.getAvailableSlotCount("sonnet")).toBe(0);
    expect(server.getWorkerCount()).toBe(0);
    expect(server.getAvailableWorkerCount()).toBe(0);
    expect(server.getWorkerInfo()).toEqual([]);
  });
});

describe("the wanted model", () => {
  test.each([
    ["sonnet", ["sonnet"]],
    ["sonnet", ["claude-sonnet-4"]],
    ["claude-sonnet-4", ["sonnet"]],
    ["sonnet", ["opus", "sonnet"]],
    ["", ["opus"]],
    ["opus", [""]],
    ["größer-😀", ["😀"]],
    ["a".repeat(3000), ["a".repeat(2000)]],
  ])("%j is served by a worker with %j", async (wanted, models) => {
    const { server } = await serverWith({ id: "a", models });

    expect(selected(server, wanted)).toBe("a");
    expect(server.getAvailableSlotCount(wanted)).toBe(4);
  });

  test.each([
    ["sonnet", ["opus"]],
    ["sonnet", ["Sonnet"]],
    ["SONNET", ["sonnet"]],
    ["sonnet-4", ["sonnet-3"]],
    ["sonnet", []],
    ["", []],
    ["sonnet ", ["net  son"]],
  ])("%j is not served by a worker with %j", async (wanted, models) => {
    const { server } = await serverWith({ id: "a", models });

    expect(selected(server, wanted)).toBeUndefined();
    expect(server.getAvailableSlotCount(wanted)).toBe(0);
  });

  test("is looked for in every worker", async () => {
    const { server } = await serverWith(
      { id: "a", models: ["opus"] },
      { id: "b", models: ["haiku", "claude-sonnet-4"] },
    );

    expect(selected(server, "sonnet")).toBe("b");
    expect(selected(server, "opus")).toBe("a");
    expect(selected(server, "gpt")).toBeUndefined();
  });

  test("that is no string is a TypeError", async () => {
    const { server } = await serverWith({ id: "a" });

    expect(() => server.getAvailableWorker(undefined as never)).toThrow(TypeError);
    expect(() => server.getAvailableSlotCount(null as never)).toThrow(TypeError);
  });
});

describe("the load", () => {
  test("the worker with the lowest share of its capacity in use is chosen", async () => {
    const { server } = await serverWith({ id: "small", max: 4 }, { id: "large", max: 10 });
    track(server, "small", 1);
    track(server, "large", 2);

    expect(selected(server)).toBe("large");
    track(server, "large", 1);
    expect(selected(server)).toBe("small");
  });

  test("the first registered wins a tie, also of unequal sizes", async () => {
    const { server } = await serverWith({ id: "a", max: 2 }, { id: "b", max: 4 }, { id: "c", max: 2 });
    expect(selected(server)).toBe("a");

    track(server, "a", 1);
    track(server, "b", 2);
    track(server, "c", 1);

    expect(selected(server)).toBe("a");
  });

  test("a worker that registered again comes last in a tie", async () => {
    const { server, port } = await serverWith({ id: "a" }, { id: "b" });

    await register(port, { id: "a" });

    expect(selected(server)).toBe("b");
  });

  test("asking does not change the answer", async () => {
    const { server } = await serverWith({ id: "a" }, { id: "b" });

    expect([selected(server), selected(server), selected(server)]).toEqual(["a", "a", "a"]);
  });

  test("choosing and tracking in turn goes round the workers in their order", async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `worker-${index}`);
    const { server } = await serverWith(...ids.map((id) => ({ id, max: 2 })));
    const chosen: (string | undefined)[] = [];

    for (let round = 0; round < 81; round++) {
      const id = selected(server);
      chosen.push(id);
      if (id) track(server, id, 1);
    }

    expect(chosen).toEqual([...ids, ...ids, undefined]);
  });

  test("a worker at capacity is not chosen until a request is released", async () => {
    const { server } = await serverWith({ id: "a", max: 1 });
    server.trackRequest("a", "r1");
    expect(selected(server)).toBeUndefined();

    server.releaseRequest("r1");

    expect(selected(server)).toBe("a");
  });

  test("a worker with a capacity of 0 is never chosen", async () => {
    const { server } = await serverWith({ id: "a", max: 0 });

    expect(infoOf(server, "a").status).toBe(WorkerStatus.Available);
    expect(selected(server)).toBeUndefined();
    expect(server.getAvailableSlotCount("sonnet")).toBe(0);
  });

  test("a capacity may be a fraction", async () => {
    const { server } = await serverWith({ id: "a", max: 1.5 });

    track(server, "a", 1);
    expect(selected(server)).toBe("a");
    track(server, "a", 1);
    expect(selected(server)).toBeUndefined();
  });
});

describe("category limits", () => {
  test("a worker is not chosen for a category at its limit, but for others", async () => {
    const { server } = await serverWith({ id: "a", limits: { video: 1, audio: 1 } });
    track(server, "a", 1, "video");

    expect(selected(server, "sonnet", "video")).toBeUndefined();
    expect(selected(server, "sonnet", "audio")).toBe("a");
    expect(selected(server, "sonnet", "unlimited")).toBe("a");
    expect(selected(server)).toBe("a");
  });

  test("a more loaded worker is chosen when the other is at its limit", async () => {
    const { server } = await serverWith(
      { id: "limited", max: 10, limits: { video: 1 } },
      { id: "loaded", max: 4 },
    );
    track(server, "limited", 1, "video");
    track(server, "loaded", 3);

    expect(selected(server)).toBe("limited");
    expect(selected(server, "sonnet", "video")).toBe("loaded");
  });

  test("a release makes room in the category", async () => {
    const { server } = await serverWith({ id: "a", limits: { video: 1 } });
    server.trackRequest("a", "r1", "video");

    server.releaseRequest("r1");

    expect(selected(server, "sonnet", "video")).toBe("a");
  });

  test("requests without a category do not count against one", async () => {
    const { server } = await serverWith({ id: "a", limits: { video: 1 } });

    track(server, "a", 3);

    expect(selected(server, "sonnet", "video")).toBe("a");
  });

  test.each([
    ["0", 0],
    ["null", null],
    ["a negative number", -1],
  ])("%s excludes the category", async (_what, limit) => {
    const { server } = await serverWith({ id: "a", limits: { video: limit } });

    expect(selected(server, "sonnet", "video")).toBeUndefined();
    expect(selected(server)).toBe("a");
  });

  test.each(["", "__proto__", "constructor", "größer-😀"])(
    "%j can be a limited category",
    async (category) => {
      const { server } = await serverWith({ id: "a", limits: JSON.parse(`{${JSON.stringify(category)}:1}`) });
      expect(selected(server, "sonnet", category)).toBe("a");

      track(server, "a", 1, category);

      expect(selected(server, "sonnet", category)).toBeUndefined();
    },
  );

  test.each(["toString", "__proto__", "constructor", "valueOf"])(
    "what every object inherits limits nothing: %s",
    async (category) => {
      const { server } = await serverWith({ id: "a", limits: { video: 1 } });
      track(server, "a", 1, category);

      expect(selected(server, "sonnet", category)).toBe("a");
      expect(server.getAvailableSlotCount("sonnet", category)).not.toBeNaN();
    },
  );

  test.each([
    { concurrencyLimits: null },
    { concurrencyLimits: "text" },
    { concurrencyLimits: 5 },
    { concurrencyLimits: [1] },
    { concurrencyLimits: { video: "text" } },
    { concurrencyLimits: { video: {} } },
    { models: [{ modelId: 5 }] },
    { models: [{}] },
    { models: [[]] },
    { maxConcurrentRequests: "4" },
    { maxConcurrentRequests: {} },
  ])("a registration with %j makes no query throw", async (garbage) => {
    const { server, port } = await serverWith({ id: "good" });
    const worker = await TestWorker.connect(port);
    worker.send({
      type: "worker_registration",
      workerId: "odd",
      workerName: "Odd",
      capabilities: capabilities(garbage),
    });
    await worker.next();

    expect(["good", "odd"]).toContain(selected(server, "sonnet", "video"));
    expect(["good", "odd"]).toContain(selected(server));
    expect(server.getAvailableSlotCount("sonnet", "video")).not.toBeNaN();
    expect(server.getAvailableSlotCount("sonnet")).not.toBeNaN();
  });
});
