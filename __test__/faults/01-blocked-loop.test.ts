import type { WorkerServer } from "../../index.js";
import { Fleet, type FleetReport } from "../support/fleet";
import { expectAtMost, note, promised, sized } from "../support/figures";
import { recordMessages } from "../support/messages";
import { type RecordingLogger, startServer, stopServers } from "../support/test-server";
import { until } from "../support/until";

afterEach(async () => {
  await Fleet.endAll();
  await stopServers();
});

const WORKERS = sized(500, 5_000);
const BEAT_EVERY_MS = sized(100, 1_000);
const BLOCK_MS = sized(1_500, 5_000);
/** A block is long enough to make every worker unhealthy, were it held against them. */
const OPTIONS = { heartbeatTimeoutMs: sized(400, 2_500), healthCheckIntervalMs: BEAT_EVERY_MS };

// Registering thousands takes a while.
jest.setTimeout(sized(20_000, 120_000));

/** All beats of the block, and how many of them must be answered within it on a slow machine. */
const BEATS_IN_BLOCK = (WORKERS * BLOCK_MS) / BEAT_EVERY_MS;
const ENOUGH_ANSWERS = BEATS_IN_BLOCK * 0.7;
const LONGEST_GAP_MS = sized(1_000, 4_000);

const BLOCKS: [string, (ms: number) => void][] = [
  [
    "a busy loop",
    (ms) => {
      const end = performance.now() + ms;
      while (performance.now() < end);
    },
  ],
  ["Atomics.wait", (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)],
];

async function serverWithFleet(): Promise<{ server: WorkerServer; logger: RecordingLogger; fleet: Fleet }> {
  const { server, port, logger } = await startServer(OPTIONS);
  const fleet = await Fleet.start(port, WORKERS, BEAT_EVERY_MS);
  await until(() => server.getWorkerCount() === WORKERS, "all workers are registered");
  return { server, logger, fleet };
}

/** Blocks this process and returns what the fleet saw during the block. */
async function reportOfBlock(fleet: Fleet, block: (ms: number) => void): Promise<FleetReport> {
  const from = Date.now();
  block(BLOCK_MS);
  return fleet.report(from, from + BLOCK_MS);
}

/** How often which warning or error was logged since so many lines. */
function troubleSince(logger: RecordingLogger, lines: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { level, message } of logger.lines.slice(lines)) {
    if (level === "warn" || level === "error") counts[message] = (counts[message] ?? 0) + 1;
  }
  return counts;
}

/** Lets the health check run some times after the block. */
async function someChecks(): Promise<void> {
  const end = performance.now() + 5 * OPTIONS.healthCheckIntervalMs;
  await until(() => performance.now() > end, "some health checks have run");
}

describe.each(BLOCKS)(
  `while the event loop is blocked for ${BLOCK_MS} ms by %s, ${WORKERS} workers`,
  (_how, block) => {
    test("are answered all the time", async () => {
      const { fleet } = await serverWithFleet();

      const { answers, longestGap, wait } = await reportOfBlock(fleet, block);

      expectAtMost("99 % of heartbeats are answered within", wait, promised(100));
      note("longest time without an answer", longestGap, "", "ms");
      expect(answers).toBeGreaterThan(ENOUGH_ANSWERS);
      expect(longestGap).toBeLessThan(LONGEST_GAP_MS);
    });

    test("stay healthy and connected", async () => {
      const { server, logger, fleet } = await serverWithFleet();

      const before = logger.lines.length;

      await reportOfBlock(fleet, block);
      await someChecks();

      expect(troubleSince(logger, before)).toEqual({});
      expect(server.getAvailableWorkerCount()).toBe(WORKERS);
      expect(new Set(server.getWorkerInfo().map(({ status }) => status))).toEqual(new Set(["available"]));
      expect((await fleet.report(0, 0)).closed).toBe(0);
    });

    test("are answered also behind messages nobody can handle yet, and have their pings answered", async () => {
      const { server, logger, fleet } = await serverWithFleet();
      const steps = recordMessages(server, "step");
      const before = logger.lines.length;
      await fleet.later(300, 10);

      const { answers, pongs, longestGap } = await reportOfBlock(fleet, block);

      expect(pongs).toBe(WORKERS);
      expect(answers).toBeGreaterThan(ENOUGH_ANSWERS);
      expect(longestGap).toBeLessThan(LONGEST_GAP_MS);
      await until(() => steps.length === WORKERS * 10, "the messages of the block are handled");
      expect(troubleSince(logger, before)).toEqual({});
    });

    test("have what they sent during the block handled after it, each in order", async () => {
      const { server, fleet } = await serverWithFleet();
      const steps = new Map<string, number[]>();
      let handled = 0;
      server.onWorkerMessage<{ step: number }>("step", ({ id }, { step }) => {
        steps.set(id, [...(steps.get(id) ?? []), step]);
        handled++;
      });
      await fleet.later(300, 10);

      block(BLOCK_MS);
      expect(handled).toBe(0);
      await until(() => handled === WORKERS * 10, "the messages of the block are handled");

      const inOrder = Array.from({ length: 10 }, (_, step) => step);
      expect([...steps.values()]).toEqual(Array.from({ length: WORKERS }, () => inOrder));
    });
  },
);
