import { WorkerPool, WorkerStatus } from "../index.js";
import { MockSocket, plainCapabilities, plainWorker, poolOf } from "./support/plain-worker";
import { RecordingLogger } from "./support/test-server";

const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;

class ThrowingSocket extends MockSocket {
  override send(): void {
    throw new Error("broken");
  }
  override close(): void {
    throw new Error("broken");
  }
}

describe("send()", () => {
  test("sends the message as JSON", () => {
    const { pool, workers } = poolOf({}, {});

    expect(pool.send("worker-2", { type: "stop", n: 1 })).toBe(true);

    expect(workers[1]!.websocket.sent).toEqual(['{"type":"stop","n":1}']);
    expect(workers[0]!.websocket.sent).toEqual([]);
  });

  test("of undefined sends an empty text", () => {
    const { pool, workers } = poolOf({});

    expect(pool.send("worker-1", undefined)).toBe(true);
    expect(workers[0]!.websocket.sent).toEqual([""]);
  });

  test.each([0, 2, 3])("is false while the socket's readyState is %i", (readyState) => {
    const { pool, workers } = poolOf({});
    workers[0]!.websocket.readyState = readyState;

    expect(pool.send("worker-1", {})).toBe(false);
    expect(workers[0]!.websocket.sent).toEqual([]);
  });

  test("is false for an unknown worker, a message that is no JSON, and a socket that throws", () => {
    const { pool } = poolOf({}, { websocket: new ThrowingSocket() });

    expect(pool.send("nobody", {})).toBe(false);
    expect(pool.send("worker-1", cyclic)).toBe(false);
    expect(pool.send("worker-1", 1n)).toBe(false);
    expect(pool.send("worker-2", {})).toBe(false);
  });

  test.each(["busy", "draining", "unhealthy"])("reaches a worker that is %s", (status) => {
    const { pool } = poolOf({ status: status as WorkerStatus });

    expect(pool.send("worker-1", {})).toBe(true);
  });
});

describe("broadcast()", () => {
  test("reaches all open sockets, whatever one of them does", () => {
    const { pool, workers } = poolOf(
      { status: WorkerStatus.Unhealthy },
      { websocket: new ThrowingSocket() },
      {},
      {},
    );
    workers[2]!.websocket.readyState = 3;

    expect(pool.broadcast({ type: "hello" })).toBeUndefined();

    expect(workers.map(({ websocket }) => websocket.sent)).toEqual([
      ['{"type":"hello"}'],
      [],
      [],
      ['{"type":"hello"}'],
    ]);
  });

  test("makes the text once", () => {
    const { pool } = poolOf({}, {}, {});
    const toJSON = jest.fn(() => "text");

    pool.broadcast({ toJSON });

    expect(toJSON).toHaveBeenCalledTimes(1);
  });

  test("throws a TypeError on a message that is no JSON, also without workers", () => {
    expect(() => poolOf({}).pool.broadcast(cyclic)).toThrow(TypeError);
    expect(() => new WorkerPool().broadcast(cyclic)).toThrow(TypeError);
  });
});

describe("closeAll()", () => {
  test("closes each socket whatever its state, ignores what they throw, and empties the pool", () => {
    const { pool, workers } = poolOf({ websocket: new ThrowingSocket() }, {}, {});
    workers[1]!.websocket.readyState = 3;

    expect(pool.closeAll()).toBeUndefined();

    expect(workers[1]!.websocket.closes).toEqual([[1001, "Server shutting down"]]);
    expect(workers[2]!.websocket.closes).toEqual([[1001, "Server shutting down"]]);
    expect(pool.getCount()).toBe(0);
    expect(pool.getAvailableWorker("sonnet")).toBeNull();
    expect(pool.getAnyAvailableWorker()).toBeNull();
  });

  test("leaves a pool that can be filled again", () => {
    const { pool, workers } = poolOf({});
    pool.closeAll();

    pool.add(workers[0]!);

    expect(pool.getAvailableWorker("sonnet")).toBe(workers[0]);
  });
});

describe("checkHealth()", () => {
  const NOW = Date.parse("2024-01-01T00:00:00Z");
  const old = (age: number) => new Date(NOW - age);

  beforeEach(() => jest.useFakeTimers({ now: NOW }));
  afterEach(() => jest.useRealTimers());

  function poolAged(...ages: number[]) {
    const logger = new RecordingLogger();
    const pool = new WorkerPool(logger);
    const workers = ages.map((age, index) =>
      plainWorker({ id: `worker-${index + 1}`, lastHeartbeat: old(age) }),
    );
    for (const worker of workers) pool.add(worker);
    return { pool, workers, logger };
  }

  test("marks those that are older than the timeout, strictly, with one warning each", () => {
    const { pool, workers, logger } = poolAged(99, 100, 101, 300);

    expect(pool.checkHealth(100)).toEqual([]);
    expect(pool.checkHealth(100)).toEqual([]);

    expect(workers.map(({ status }) => status)).toEqual(["available", "available", "unhealthy", "unhealthy"]);
    expect(logger.lines).toEqual([
      {
        level: "warn",
        message: "Worker heartbeat timeout",
        rest: [{ workerId: "worker-3", timeSinceHeartbeat: 101, threshold: 100 }],
      },
      {
        level: "warn",
        message: "Worker heartbeat timeout",
        rest: [{ workerId: "worker-4", timeSinceHeartbeat: 300, threshold: 100 }],
      },
    ]);
  });

  test("returns those that are older than three timeouts, in order, every time, and removes nobody", () => {
    const { pool, workers } = poolAged(1_000, 0, 301, 300);

    expect(pool.checkHealth(100)).toEqual(["worker-1", "worker-3"]);
    expect(pool.checkHealth(100)).toEqual(["worker-1", "worker-3"]);

    expect(pool.getCount()).toBe(4);
    expect(workers[0]!.websocket.closes).toEqual([]);
  });

  test.each(["busy", "draining"])("marks workers that are %s", (status) => {
    const { pool, workers } = poolAged(101);
    workers[0]!.status = status as WorkerStatus;

    pool.checkHealth(100);

    expect(workers[0]!.status).toBe("unhealthy");
  });

  test("goes by the date of the moment", () => {
    const { pool, workers } = poolAged(500);

    workers[0]!.lastHeartbeat = old(0);
    expect(pool.checkHealth(100)).toEqual([]);

    workers[0]!.lastHeartbeat.setTime(NOW - 500);
    expect(pool.checkHealth(100)).toEqual(["worker-1"]);
  });

  test("without a logger logs nothing", () => {
    const { pool } = poolOf({ lastHeartbeat: old(500), capabilities: plainCapabilities() });

    expect(pool.checkHealth(100)).toEqual(["worker-1"]);
  });

  test("is not harmed by a logger that throws", () => {
    const fail = () => {
      throw new Error("logger");
    };
    const pool = new WorkerPool({ debug: fail, info: fail, warn: fail, error: fail });
    pool.add(plainWorker({ lastHeartbeat: old(500) }));

    expect(pool.checkHealth(100)).toEqual(["worker-1"]);
  });
});
