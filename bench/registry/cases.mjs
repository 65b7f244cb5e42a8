/* What is measured. Each case is run in a process of its own, with one contender, and returns figures. */
import { performance } from "node:perf_hooks";

const both = ["ours", "peer"];
const WORKERS = 10_000;

/** Registers workers; one in a hundred has the capability "rare". Returns their ids. */
async function fill(registry, count) {
  const ids = [];
  for (let index = 0; index < count; index++) {
    const capabilities = index % 100 === 0 ? ["coder", "tester", "rare"] : ["coder", "tester"];
    const worker = await registry.registerWorker({
      nodeId: `node-${index}`,
      capabilities,
      maxConcurrentTasks: 10,
    });
    ids.push(worker.id);
  }
  return ids;
}

/** Calls `run` with growing numbers for about as long as given, after some to warm up. */
async function timed(run, seconds = 1) {
  for (let index = 0; index < 2_000; index++) await run(index);
  const started = performance.now();
  const end = started + seconds * 1_000;
  let count = 0;
  while (performance.now() < end) {
    for (let step = 0; step < 100; step++) await run(count + step);
    count += 100;
  }
  return { per_second: (count / (performance.now() - started)) * 1_000 };
}

/** As `timed`, for what takes long. */
async function timedSlowly(run, seconds = 1.5) {
  await run(0);
  const started = performance.now();
  const end = started + seconds * 1_000;
  let count = 0;
  while (performance.now() < end) await run(++count);
  return { per_second: (count / (performance.now() - started)) * 1_000 };
}

/** One case per kind of change. */
function change(run) {
  return {
    contenders: both,
    async run(registry) {
      const ids = await fill(registry, WORKERS);
      // A step that shares no factor with the number of workers visits them all, in no order that helps a cache.
      return timed((index) => run(registry, ids[(index * 7_919) % WORKERS], index));
    },
  };
}

/** Calls per second at several numbers of workers, and the share that is left of them at the largest. */
function growth(run) {
  return {
    contenders: ["ours"],
    async run(makeRegistry) {
      const figures = {};
      for (const count of [100, 1_000, 10_000, 100_000]) {
        const registry = await makeRegistry();
        await fill(registry, count);
        figures[`at_${count}`] = (await timed((index) => run(registry, index))).per_second;
      }
      return { ...figures, flatness: figures.at_100000 / figures.at_100 };
    },
    makesRegistries: true,
  };
}

export const cases = {
  heartbeat: change((registry, id) => registry.heartbeat(id)),

  updateTaskCount: change((registry, id, index) => registry.updateTaskCount(id, index % 2 === 0 ? 1 : -1)),

  recordTaskCompletion: change((registry, id, index) =>
    registry.recordTaskCompletion(id, index % 10 > 0, 1_000 + (index % 500)),
  ),

  "load balancing, a capability that 1 % have": {
    contenders: both,
    async run(registry) {
      await fill(registry, WORKERS);
      return timedSlowly(() => registry.getWorkersForLoadBalancing({ capabilities: ["rare"] }));
    },
  },

  "acquire and complete": {
    contenders: both,
    async run(registry) {
      await fill(registry, WORKERS);
      return timedSlowly(async () => {
        const worker = await registry.tryAcquire({ capabilities: ["coder"] });
        await registry.recordTaskCompletion(worker.id, true, 2_000);
      });
    },
  },

  "load balancing with limit: 1 as workers grow": growth((registry) =>
    registry.getWorkersForLoadBalancing({ capabilities: ["coder"], limit: 1 }),
  ),

  "tryAcquire as workers grow": growth(async (registry) => {
    const worker = await registry.tryAcquire({ capabilities: ["coder"] });
    await registry.recordTaskCompletion(worker.id, true, 2_000);
  }),

  "memory per worker": {
    contenders: both,
    async run(registry) {
      const count = 100_000;
      await fillWithoutEvents(registry, 1_000);
      globalThis.gc();
      const before = process.memoryUsage().rss;
      await fillWithoutEvents(registry, count);
      await registry.getWorkersForLoadBalancing({ capabilities: ["rare"], limit: 1 });
      for (let round = 0; round < 3; round++) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return { bytes: (process.memoryUsage().rss - before) / count };
    },
  },

  "on Redis: tryAcquire, 256 in flight": {
    contenders: ["ours"],
    isRedis: true,
    async run(registry) {
      await fillParallel(registry);
      const acquire = async () => {
        const worker = await registry.tryAcquire({ capabilities: ["coder"] });
        if (worker === null) throw new Error("there is no slot left");
      };
      await inFlight(2_000, acquire);
      const started = performance.now();
      await inFlight(30_000, acquire);
      return { per_second: (30_000 / (performance.now() - started)) * 1_000 };
    },
  },

  "on Redis: one at a time": {
    contenders: ["ours"],
    isRedis: true,
    async run(registry) {
      await fillParallel(registry);
      const acquire = await median(() => registry.tryAcquire({ capabilities: ["coder"] }));
      const round_trip = await median(() => registry.roundTrip());
      return { acquire_us: acquire, round_trip_us: round_trip, ratio: acquire / round_trip };
    },
  },
};

/** Forgets the events of the registrations, which are kept for a minute only, and keeps no ids. */
async function fillWithoutEvents(registry, count) {
  for (let done = 0; done < count; done += 1_000) {
    await fill(registry, 1_000);
    for (const key of await registry.memory.list("task-sentinel/events/")) await registry.memory.delete(key);
  }
}

async function fillParallel(registry) {
  let left = WORKERS;
  const loop = async () => {
    while (left-- > 0) {
      const registration = {
        nodeId: `node-${left}`,
        capabilities: ["coder", "tester"],
        maxConcurrentTasks: 10,
      };
      await registry.registerWorker(registration);
    }
  };
  await Promise.all(Array.from({ length: 100 }, loop));
}

async function inFlight(count, run) {
  let left = count;
  const loop = async () => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: 256 }, loop));
}

/** Microseconds. */
async function median(run) {
  const times = [];
  for (let count = 0; count < 3_000; count++) {
    const started = performance.now();
    await run();
    times.push((performance.now() - started) * 1_000);
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1];
}
