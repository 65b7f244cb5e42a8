/* What is measured. Each case is run in a process of its own, with one contender, and returns figures. */
import { performance } from "node:perf_hooks";

const QUEUED = 20_000;

/** Milliseconds until so many tasks, added at once, are done. */
function queued(pool, count) {
  return new Promise((resolve) => {
    const began = performance.now();
    let left = count;
    const done = () => {
      if (--left === 0) resolve(performance.now() - began);
    };
    for (let params = 0; params < count; params++) pool.run(params, done);
  });
}

async function withSubscribers(pool, count) {
  for (let subscriber = 0; subscriber < count; subscriber++) pool.subscribe(() => {});
  await queued(pool, 2000);
  return { ms: await queued(pool, QUEUED) };
}

export const cases = {
  "20,000 queued empty tasks": {
    contenders: ["ours", "raw", "peer"],
    threads: 2,
    async run(pool) {
      await queued(pool, 2000);
      return { ms: await queued(pool, QUEUED) };
    },
  },

  "one at a time": {
    contenders: ["ours", "raw", "peer"],
    threads: 1,
    async run(pool) {
      const one = () => new Promise((resolve) => pool.run(1, resolve));
      for (let count = 0; count < 3000; count++) await one();
      const times = [];
      for (let count = 0; count < 10_000; count++) {
        const began = performance.now();
        await one();
        times.push((performance.now() - began) * 1000);
      }
      times.sort((a, b) => a - b);
      return { p50_us: times[times.length >> 1], p99_us: times[Math.floor(times.length * 0.99)] };
    },
  },

  "20,000 queued empty tasks, 1 subscriber": {
    contenders: ["ours"],
    threads: 2,
    run: (pool) => withSubscribers(pool, 1),
  },

  "20,000 queued empty tasks, 8 subscribers": {
    contenders: ["ours"],
    threads: 2,
    run: (pool) => withSubscribers(pool, 8),
  },
};
