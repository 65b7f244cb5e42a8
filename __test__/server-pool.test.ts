import {
  toWorkerInfo,
  WorkerPool,
  WorkerStatus,
  type ConnectedWorker,
  type WorkerServer,
  type WorkerServerOptions,
} from "../index.js";
import { recordEvents } from "./support/events";
import { infoOf } from "./support/infos";
import { type RecordingLogger, startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

/** The server's own pool, which is private by its type only. */
function poolOf(server: WorkerServer): WorkerPool {
  return (server as unknown as { pool: WorkerPool }).pool;
}

async function serverWith(
  ids: string[],
  options: Partial<WorkerServerOptions> = {},
): Promise<{ server: WorkerServer; pool: WorkerPool; workers: TestWorker[]; logger: RecordingLogger }> {
  const { server, port, logger } = await startServer(options);
  const workers: TestWorker[] = [];
  for (const workerId of ids) workers.push(await TestWorker.register(port, { workerId }));
  return { server, pool: poolOf(server), workers, logger };
}

describe("the server's pool", () => {
  test("is there before start() and the same all the time", async () => {
    const { server } = await startServer();
    const pool = poolOf(server);

    expect(pool.getCount()).toBe(0);
    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAnyAvailableWorker()).toBeNull();
    await server.stop();
    expect(poolOf(server)).toBe(pool);
  });

  test("answers as the server does", async () => {
    const { server, pool } = await serverWith(["a", "b"]);
    server.trackRequest("a", "r1");

    expect(pool.getCount()).toBe(2);
    expect(pool.getAvailableCount()).toBe(2);
    expect(pool.has("a")).toBe(true);
    expect(pool.has("c")).toBe(false);
    expect(pool.get("c")).toBeUndefined();
    expect([...pool.values()].map(({ id }) => id)).toEqual(["a", "b"]);
    expect(pool.getWorkerInfoList()).toStrictEqual(server.getWorkerInfo());
    expect(pool.getAvailableWorker("sonnet")).toBe(pool.get("b"));
    expect(pool.getAnyAvailableWorker()).toBe(pool.get("a"));
    expect(pool.getAvailableSlotCount("sonnet")).toBe(7);
  });

  test("has workers that are live: what is set by hand counts for the server", async () => {
    const { server, pool } = await serverWith(["a", "b"]);
    const worker = pool.get("a")!;

    worker.status = WorkerStatus.Draining;
    expect(server.getAvailableWorker("sonnet")?.id).toBe("b");
    worker.status = WorkerStatus.Available;
    worker.activeRequests = 3;
    expect(infoOf(server, "a").activeRequests).toBe(3);
    worker.completedRequests = 7;
    expect(infoOf(server, "a").completedRequests).toBe(7);
    worker.lastHeartbeat = new Date(5);
    expect(infoOf(server, "a").lastHeartbeat).toEqual(new Date(5));

    expect(toWorkerInfo(worker)).toStrictEqual(infoOf(server, "a"));
  });

  test("tracks and releases for the server", async () => {
    const { server, pool } = await serverWith(["a"]);

    pool.trackRequest("a", "r1", "video");
    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 1, pendingRequestIds: new Set(["r1"]) });

    pool.releaseRequest("r1", { incrementCompleted: true });
    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 0, completedRequests: 1 });
  });

  test("sends, broadcasts, and shows the socket's state", async () => {
    const { pool, workers } = await serverWith(["a", "b"]);
    expect(pool.get("a")!.websocket.readyState).toBe(1);

    expect(pool.send("a", { type: "one" })).toBe(true);
    pool.broadcast({ type: "all" });
    pool.get("b")!.websocket.send('{"type":"direct"}');

    expect(await workers[0]!.next()).toEqual({ type: "one" });
    expect(await workers[0]!.next()).toEqual({ type: "all" });
    expect(await workers[1]!.next()).toEqual({ type: "all" });
    expect(await workers[1]!.next()).toEqual({ type: "direct" });
  });

  test("closes a worker through its socket, which is its end as any other", async () => {
    const { server, pool, workers } = await serverWith(["a"]);
    const { disconnected } = recordEvents(server);

    pool.get("a")!.websocket.close(4000, "Enough");

    expect(await workers[0]!.closed).toEqual({ code: 4000, reason: "Enough" });
    expect(pool.send("a", {})).toBe(false);
    await until(() => disconnected.length === 1, "the disconnected handler ran");
    expect(pool.has("a")).toBe(false);
  });

  test.each([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70_000, -1, 1000.5, NaN, "1000", null])(
    "does not close a worker with the code %p, which no close frame may have",
    async (code) => {
      const { pool, workers } = await serverWith(["a"]);
      const { websocket } = pool.get("a")!;

      expect(() => websocket.close(code as number)).toThrow(TypeError);

      expect(pool.send("a", { type: "still here" })).toBe(true);
      expect(await workers[0]!.next()).toEqual({ type: "still here" });
    },
  );

  test.each([1000, 1003, 1007, 1014, 3000, 4999])("closes a worker with the code %i", async (code) => {
    const { pool, workers } = await serverWith(["a"]);

    pool.get("a")!.websocket.close(code);

    expect((await workers[0]!.closed).code).toBe(code);
  });

  test("checks the health by the timeout it is given", async () => {
    const { server, pool, logger } = await serverWith(["a", "b"]);
    pool.get("b")!.lastHeartbeat = new Date(Date.now() - 100_000);

    expect(pool.checkHealth(1_000_000)).toEqual([]);
    expect(pool.checkHealth(50_000)).toEqual([]);
    expect(infoOf(server, "b").status).toBe("unhealthy");
    expect(pool.checkHealth(10_000)).toEqual(["b"]);

    expect(logger.of("Worker heartbeat timeout")).toHaveLength(1);
    expect(pool.getCount()).toBe(2);
  });

  test("gives a worker up without closing it", async () => {
    const { server, pool, workers } = await serverWith(["a", "b"]);
    const { disconnected } = recordEvents(server);

    expect(pool.remove("a")?.id).toBe("a");
    expect(pool.remove("a")).toBeUndefined();

    expect(server.getWorkerCount()).toBe(1);
    expect(server.send("a", {})).toBe(false);
    expect(workers[0]!.socket.readyState).toBe(1);
    expect(disconnected).toEqual([]);
  });

  test("closes all workers and is empty at once", async () => {
    const { server, pool, workers } = await serverWith(["a", "b"]);
    const { disconnected } = recordEvents(server);

    pool.closeAll();

    expect(server.getWorkerCount()).toBe(0);
    for (const worker of workers) {
      expect(await worker.closed).toEqual({ code: 1001, reason: "Server shutting down" });
    }
    expect(disconnected).toEqual([]);
  });
});

/*
 * Plain workers are chosen by lib/choosing.ts, the server's by the native pool. A session is a plain worker too: so both
 * are asked about the very same workers, after each of many random changes.
 */
describe("a pool of plain workers and the native one agree", () => {
  const models = ["opus", "claude-opus-4", "sonnet", "sonnet-3.5", "", "none"];
  const categories = [undefined, "video", "audio", "", "toString"];

  /** The same numbers for the same seed (mulberry32). */
  function randomFrom(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
    };
  }

  async function fleetOf(random: (below: number) => number): Promise<WorkerServer> {
    const { server, port } = await startServer();
    for (let index = 0; index < 8; index++) {
      const limits = { video: random(3), ...(random(2) === 0 && { audio: random(2), "": null }) };
      await TestWorker.register(port, {
        workerId: `worker-${index}`,
        capabilities: capabilities({
          models: Array.from({ length: random(3) + 1 }, () => model(models[random(4)]!)),
          maxConcurrentRequests: random(5),
          concurrencyLimits: random(3) === 0 ? undefined : limits,
        }),
      });
    }
    return server;
  }

  function change(random: (below: number) => number, server: WorkerServer, worker: ConnectedWorker): void {
    const request = `request-${random(12)}`;
    const statuses = Object.values(WorkerStatus);
    switch (random(9)) {
      case 0:
        worker.status = statuses[random(statuses.length)]!;
        break;
      case 1:
        worker.activeRequests = random(6) - 1;
        break;
      case 2:
        worker.capabilities.maxConcurrentRequests = random(6) - 1;
        break;
      case 3:
        worker.capabilities.models = [model(models[random(4)]!) as never];
        break;
      case 4:
        worker.categoryActiveRequests.set("video", random(4));
        break;
      case 5:
        worker.pendingRequests.add(request);
        break;
      case 6:
        server.releaseRequest(request, { incrementCompleted: true });
        break;
      default:
        server.trackRequest(worker.id, request, categories[random(categories.length)]);
    }
  }

  test.each([1, 2, 3, 4, 5])("on the same sessions, after random changes (seed %i)", async (seed) => {
    const random = randomFrom(seed);
    const server = await fleetOf(random);
    const native = poolOf(server);
    const plain = new WorkerPool();
    for (const session of native.values()) plain.add(session);
    const sessions = [...native.values()];

    for (let step = 0; step < 300; step++) {
      change(random, server, sessions[random(sessions.length)]!);
      for (const wanted of models) {
        const category = categories[random(categories.length)];
        const question = { seed, step, wanted, category };
        expect({ ...question, found: native.getAvailableWorker(wanted, category)?.id }).toEqual({
          ...question,
          found: plain.getAvailableWorker(wanted, category)?.id,
        });
        expect({ ...question, slots: native.getAvailableSlotCount(wanted, category) }).toEqual({
          ...question,
          slots: plain.getAvailableSlotCount(wanted, category),
        });
      }
      expect(native.getAnyAvailableWorker()).toBe(plain.getAnyAvailableWorker());
      expect(native.getAvailableCount()).toBe(plain.getAvailableCount());
    }
  });
});
