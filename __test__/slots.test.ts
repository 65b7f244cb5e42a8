import type { WorkerServer } from "../index.js";
import { checkAtAge, useFakeClock } from "./support/fake-clock";
import { infoOf } from "./support/infos";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

const OPTIONS = { heartbeatTimeoutMs: 10_000, healthCheckIntervalMs: 1_000 };

interface Wanted {
  id: string;
  modelId?: string;
  max: number;
  limits?: Record<string, unknown>;
}

async function serverWith(...workers: Wanted[]): Promise<WorkerServer> {
  const { server, port } = await startServer(OPTIONS);
  for (const { id, modelId = "sonnet", max, limits } of workers) {
    await TestWorker.register(port, {
      workerId: id,
      capabilities: capabilities({
        models: [model(modelId)],
        maxConcurrentRequests: max,
        concurrencyLimits: limits,
      }),
    });
  }
  return server;
}

let requests = 0;

function track(server: WorkerServer, id: string, count: number, category?: string): void {
  for (let index = 0; index < count; index++) server.trackRequest(id, `request-${++requests}`, category);
}

/** Makes the worker, and only it, miss its heartbeats. */
function makeUnhealthy(server: WorkerServer, id: string): void {
  const others = server.getWorkerInfo().filter((info) => info.id !== id);
  const { lastHeartbeat } = infoOf(server, id);
  const time = lastHeartbeat.getTime();
  for (const other of others) other.lastHeartbeat.setTime(time + 10_001);
  checkAtAge(server, 10_001, 1_000, id);
}

describe("a worker with a fraction in its limits", () => {
  test("has as many slots as whole requests fit, and is selected by the fraction", async () => {
    const server = await serverWith({ id: "a", max: 1.5 }, { id: "b", max: 4 });
    expect([server.getAvailableSlotCount("sonnet"), server.availableSlots("sonnet")]).toEqual([5, 5]);

    track(server, "a", 1);
    track(server, "b", 4);

    expect(server.getAvailableWorker("sonnet")?.id).toBe("a");
    expect([server.getAvailableSlotCount("sonnet"), server.availableSlots("sonnet")]).toEqual([0, 0]);
    track(server, "a", 1);
    expect(server.getAvailableWorker("sonnet")).toBeNull();
  });

  test("has whole slots of a category", async () => {
    const server = await serverWith({ id: "a", max: 9.9, limits: { inference: 2.5 } });

    expect(server.getAvailableSlotCount("sonnet", "inference")).toBe(2);
    expect(server.availableSlots("sonnet", "inference")).toBe(2);
    expect(server.getAvailableSlotCount("sonnet", "other")).toBe(9);
  });

  test("counts whole slots in a pool that only the native side looks through", async () => {
    const workers = Array.from({ length: 30 }, (_, n) => ({ id: `w${n}`, max: 1.5 }));
    const server = await serverWith(...workers);

    expect(server.getAvailableSlotCount("sonnet")).toBe(30);
    expect(server.availableSlots("sonnet")).toBe(30);
  });
});

describe("getAvailableSlotCount", () => {
  test("adds up the free slots of the available workers that have the model", async () => {
    const server = await serverWith(
      { id: "a", max: 4 },
      { id: "b", max: 10 },
      { id: "c", max: 5, modelId: "opus" },
    );
    track(server, "a", 1);
    track(server, "b", 4);

    expect(server.getAvailableSlotCount("sonnet")).toBe(9);
    expect(server.getAvailableSlotCount("opus")).toBe(5);
    expect(server.getAvailableSlotCount("")).toBe(14);
    expect(server.getAvailableSlotCount("haiku")).toBe(0);
  });

  test("leaves out busy workers", async () => {
    const server = await serverWith({ id: "a", max: 2 }, { id: "b", max: 3 });
    track(server, "a", 5);

    expect(server.getAvailableSlotCount("sonnet")).toBe(3);
  });

  test("leaves out unhealthy workers", async () => {
    useFakeClock();
    const server = await serverWith({ id: "a", max: 2 }, { id: "b", max: 3 });

    makeUnhealthy(server, "a");

    expect(infoOf(server, "b").status).toBe("available");
    expect(server.getAvailableSlotCount("sonnet")).toBe(3);
  });

  test("counts what a category limit leaves, if that is less", async () => {
    const server = await serverWith(
      { id: "narrow", max: 10, limits: { video: 2 } },
      { id: "wide", max: 3, limits: { video: 8 } },
      { id: "free", max: 5 },
    );

    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(2 + 3 + 5);
    track(server, "narrow", 1, "video");
    track(server, "wide", 2, "video");
    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(1 + 1 + 5);
    expect(server.getAvailableSlotCount("sonnet")).toBe(9 + 1 + 5);
  });

  test("counts nothing for a category limit of 0 or null", async () => {
    const server = await serverWith({ id: "a", max: 4, limits: { video: 0, audio: null } });

    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(0);
    expect(server.getAvailableSlotCount("sonnet", "audio")).toBe(0);
    expect(server.getAvailableSlotCount("sonnet", "text")).toBe(4);
  });

  test("is reduced by a worker over its category limit", async () => {
    const server = await serverWith({ id: "over", max: 10, limits: { video: 1 } }, { id: "b", max: 5 });

    track(server, "over", 3, "video");

    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(5 - 2);
  });

  test("is negative when the only worker is over its category limit", async () => {
    const server = await serverWith({ id: "over", max: 10, limits: { video: 1 } });

    track(server, "over", 4, "video");

    expect(server.getAvailableSlotCount("sonnet", "video")).toBe(-3);
  });
});

describe("getAnyAvailableWorker", () => {
  test("returns the first worker, whatever its model and load", async () => {
    const server = await serverWith({ id: "a", max: 10, modelId: "opus" }, { id: "b", max: 10 });
    track(server, "a", 9);

    expect(server.getAnyAvailableWorker()?.id).toBe("a");
  });

  test("returns a busy worker before a free one that registered later", async () => {
    const server = await serverWith({ id: "busy", max: 1 }, { id: "free", max: 1 });
    track(server, "busy", 1);

    expect(server.getAnyAvailableWorker()).toMatchObject({ id: "busy", status: "busy" });
  });

  test("returns a worker with a capacity of 0", async () => {
    const server = await serverWith({ id: "a", max: 0 });

    expect(server.getAnyAvailableWorker()?.id).toBe("a");
  });

  test("passes over unhealthy workers", async () => {
    useFakeClock();
    const server = await serverWith({ id: "a", max: 1 }, { id: "b", max: 1 });

    makeUnhealthy(server, "a");

    expect(server.getAnyAvailableWorker()?.id).toBe("b");
  });
});

describe("the counts", () => {
  test("getWorkerCount counts all workers, getAvailableWorkerCount the available ones", async () => {
    useFakeClock();
    const server = await serverWith(
      { id: "busy", max: 1 },
      { id: "unhealthy", max: 1 },
      { id: "available", max: 2 },
      { id: "no-slots", max: 0 },
    );
    track(server, "busy", 1);
    track(server, "available", 1);

    makeUnhealthy(server, "unhealthy");

    expect(server.getWorkerInfo().map(({ status }) => status)).toEqual([
      "busy",
      "unhealthy",
      "available",
      "available",
    ]);
    expect(server.getWorkerCount()).toBe(4);
    expect(server.getAvailableWorkerCount()).toBe(2);
  });

  test("getAvailableWorkerCount follows track and release", async () => {
    const server = await serverWith({ id: "a", max: 1 }, { id: "b", max: 1 });

    server.trackRequest("a", "r1");
    expect(server.getAvailableWorkerCount()).toBe(1);
    server.trackRequest("b", "r2");
    expect(server.getAvailableWorkerCount()).toBe(0);
    server.releaseRequest("r1");
    expect(server.getAvailableWorkerCount()).toBe(1);
  });
});
