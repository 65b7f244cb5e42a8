import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { Child } from "./support/child";
import { until } from "./support/until";

/*
 * A server whose wall clock is set while it runs (libfaketime; its monotonic clock goes on), and one whose process is stopped
 * for a while. The workers live in this process, with a clock of their own.
 */

const HOUR_S = 3_600;

let folder: string;
/** Says by how much the wall clock of the child is off. */
let offsetFile: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clocks-"));
  offsetFile = join(folder, "offset");
  await writeFile(offsetFile, "+0");
});

afterEach(async () => {
  Worker.closeAll();
  await Child.endAll();
  await rm(folder, { recursive: true });
});

/** A worker that beats, or does not, in a rhythm of its own. */
class Worker {
  static readonly #all = new Set<Worker>();
  acknowledged = 0;
  closeCode: number | undefined;
  readonly #socket: WebSocket;
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    port: number,
    readonly id: string,
  ) {
    Worker.#all.add(this);
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    this.#socket.on("error", () => {});
    this.#socket.on("close", (code) => (this.closeCode = code));
    this.#socket.on("message", (data) => {
      if (JSON.parse(String(data)).type === "heartbeat_ack") this.acknowledged++;
    });
    const capabilities = { models: [{ modelId: "m" }], maxConcurrentRequests: 1 };
    this.#socket.on("open", () =>
      this.#send({ type: "worker_registration", workerId: id, workerName: id, capabilities }),
    );
  }

  static start(port: number, id: string): Worker {
    return new Worker(port, id);
  }

  static closeAll(): void {
    for (const worker of Worker.#all) worker.close();
    Worker.#all.clear();
  }

  beat(everyMs: number): void {
    this.#timer = setInterval(() => this.#send({ type: "heartbeat", workerId: this.id }), everyMs);
  }

  stopBeating(): void {
    clearInterval(this.#timer);
  }

  close(): void {
    this.stopBeating();
    this.#socket.terminate();
  }

  #send(message: object): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

interface Options {
  readonly heartbeatTimeoutMs: number;
  readonly healthCheckIntervalMs: number;
}

async function serve(child: Child, options: Options): Promise<number> {
  return child.run(async ({ WorkerServer, state }, given) => {
    state.lines = [];
    const log = (message: string, context?: object): void => void state.lines.push([message, context]);
    const logger = { debug() {}, info: log, warn: log, error: log };
    state.server = new WorkerServer({ port: 0, logger, ...given });
    await state.server.start();
    return state.server.port;
  }, options);
}

/** The ids of the registered workers and their states, and the warnings so far. */
function look(child: Child): Promise<{ workers: Record<string, string>; warnings: [string, any][] }> {
  return child.run(({ state }) => ({
    workers: Object.fromEntries(state.server.getWorkerInfo().map((info: any) => [info.id, info.status])),
    warnings: state.lines,
  }));
}

/** A process whose wall clock can be set. */
async function withClock(): Promise<Child> {
  const { stdout } = await promisify(execFile)("faketime", ["-f", "+0", "printenv", "LD_PRELOAD"]);
  const env = {
    LD_PRELOAD: stdout.trim(),
    FAKETIME_TIMESTAMP_FILE: offsetFile,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1",
  };
  return new Child({ env });
}

/** Sets the child's wall clock, and returns once the child sees it. */
async function step(child: Child, seconds: number): Promise<void> {
  await writeFile(offsetFile, `${seconds < 0 ? "" : "+"}${seconds}`);
  const expected = Date.now() + seconds * 1_000;
  const shown = await child.run(() => Date.now());
  expect(Math.abs(shown - expected)).toBeLessThan(60_000);
}

describe.each([
  ["forward", HOUR_S],
  ["back", -HOUR_S],
])("a wall clock that is set %s by an hour", (_direction, seconds) => {
  test("costs no live worker its place, and shows in dates", async () => {
    const child = await withClock();
    const port = await serve(child, { heartbeatTimeoutMs: 1_000, healthCheckIntervalMs: 50 });
    const live = Worker.start(port, "live");
    live.beat(100);
    await until(() => live.acknowledged >= 3, "it has beaten");

    await step(child, seconds);
    const before = live.acknowledged;
    await until(() => live.acknowledged >= before + 15, "it has gone on for longer than the timeout");

    const { workers, warnings } = await look(child);
    expect({ workers, warnings }).toEqual({ workers: { live: "available" }, warnings: [] });
    const shown = await child.run(({ state }) => state.server.getWorkerInfo()[0].lastHeartbeat.getTime());
    expect(Math.abs(shown - (Date.now() + seconds * 1_000))).toBeLessThan(60_000);
  });

  test("does not keep a silent one", async () => {
    const child = await withClock();
    const port = await serve(child, { heartbeatTimeoutMs: 300, healthCheckIntervalMs: 50 });
    const silent = Worker.start(port, "silent");
    const live = Worker.start(port, "live");
    live.beat(50);
    await until(() => live.acknowledged > 0, "the workers are there");

    await step(child, seconds);

    await until(() => silent.closeCode !== undefined, "the silent one is closed");
    expect(silent.closeCode).toBe(4003);
    const { workers, warnings } = await look(child);
    expect(workers).toEqual({ live: "available" });
    const timeout = warnings.find(([message]) => message === "Worker heartbeat timeout");
    expect(timeout![1]).toMatchObject({ workerId: "silent", threshold: 300 });
    expect(timeout![1].timeSinceHeartbeat).toBeGreaterThan(300);
    expect(timeout![1].timeSinceHeartbeat).toBeLessThan(60_000);
  });

  test("makes nobody in a WorkerPool silent, and keeps nobody", async () => {
    const child = await withClock();
    await child.run(({ WorkerPool, state }) => {
      state.pool = new WorkerPool();
      state.make = (id: string) => ({
        id,
        name: id,
        websocket: { readyState: 1, send() {}, close() {} },
        capabilities: { models: [], maxConcurrentRequests: 1 },
        status: "available",
        sessionId: "",
        connectedAt: new Date(),
        lastHeartbeat: new Date(),
        activeRequests: 0,
        pendingRequests: new Set(),
        completedRequests: 0,
        requestCategories: new Map(),
        categoryActiveRequests: new Map(),
      });
      for (const id of ["live", "silent", "late"]) state.pool.add(state.make(id));
      state.pool.checkHealth(200);
      // Set before the step, and seen only after it.
      state.pool.get("live").lastHeartbeat = new Date();
    });

    await step(child, seconds);

    const at = (timeoutMs: number): Promise<string[]> =>
      child.run(({ state }, ms) => {
        state.pool.get("late").lastHeartbeat = new Date();
        state.pool.checkHealth(ms);
        return [...state.pool.values()]
          .filter((each: any) => each.status === "unhealthy")
          .map(({ id }: any) => id);
      }, timeoutMs);
    expect(await at(60_000)).toEqual([]);
    await pause(250);
    expect(await at(200)).toEqual(["live", "silent"]);
  });
});

test("a process that was stopped for 10 s loses no live worker", async () => {
  const child = new Child();
  const port = await serve(child, { heartbeatTimeoutMs: 2_000, healthCheckIntervalMs: 100 });
  const workers = Array.from({ length: 20 }, (_, n) => Worker.start(port, `worker-${n}`));
  for (const worker of workers) worker.beat(500);
  await until(() => workers.every(({ acknowledged }) => acknowledged > 0), "all have beaten");

  child.signal("SIGSTOP");
  // The workers' machine sleeps as well, so that no heartbeat waits in the sockets.
  for (const worker of workers) worker.stopBeating();
  await pause(10_000);
  child.signal("SIGCONT");
  await look(child);
  for (const worker of workers) worker.beat(1_000);
  const before = workers.map(({ acknowledged }) => acknowledged);
  await until(() => workers.every(({ acknowledged }, n) => acknowledged >= before[n]! + 3), "all go on");

  const { workers: states, warnings } = await look(child);
  expect(warnings).toEqual([]);
  expect(Object.values(states)).toEqual(Array(20).fill("available"));
  expect(workers.filter(({ closeCode }) => closeCode !== undefined)).toEqual([]);
}, 60_000);

test("a worker that is silent after a pause of the process is found one timeout later", async () => {
  const child = new Child();
  const port = await serve(child, { heartbeatTimeoutMs: 500, healthCheckIntervalMs: 50 });
  const silent = Worker.start(port, "silent");
  silent.beat(100);
  await until(() => silent.acknowledged > 0, "it has beaten");

  child.signal("SIGSTOP");
  silent.stopBeating();
  await pause(3_000);
  child.signal("SIGCONT");

  await until(() => silent.closeCode !== undefined, "it is closed");
  expect(silent.closeCode).toBe(4003);
}, 30_000);
