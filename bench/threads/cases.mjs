/*
 * What is measured. Each case is run in a process of its own, with one contender, and returns figures.
 */
import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const IN_FLIGHT = 64;

const pools = ["ours", "piscina", "tinypool", "workerpool", "poolifier"];

/** Runs `count` tasks, so many at a time. */
async function runMany(pool, count, inFlight, payload) {
  let left = count;
  const loop = async () => {
    while (left-- > 0) await pool.run(payload);
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
}

async function timed(count, run) {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await run();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { per_second: count / seconds, cpu_us: (user + system) / count, ms: seconds * 1000 };
}

/** About 10 KiB of JSON. */
function object10k() {
  const item = (id) => ({
    id,
    name: `item number ${id}`,
    tags: ["one", "two"],
    price: id * 1.25,
    at: { x: id, y: id + 0.5 },
  });
  return { items: Array.from({ length: 110 }, (_, id) => item(id)) };
}

export const cases = {
  "empty tasks, 64 in flight": {
    contenders: [...pools, "raw"],
    job: "echo",
    async run(pool) {
      await runMany(pool, 20_000, IN_FLIGHT);
      return timed(100_000, () => runMany(pool, 100_000, IN_FLIGHT));
    },
  },

  "one at a time": {
    contenders: [...pools, "raw"],
    job: "echo",
    async run(pool) {
      await runMany(pool, 5000, 1);
      const times = [];
      for (let count = 0; count < 20_000; count++) {
        const started = performance.now();
        await pool.run();
        times.push((performance.now() - started) * 1000);
      }
      times.sort((a, b) => a - b);
      return { p50_us: times[times.length >> 1] };
    },
  },

  "10 KiB objects each way": {
    contenders: [...pools, "raw"],
    job: "echo",
    async run(pool) {
      const payload = object10k();
      await runMany(pool, 2000, IN_FLIGHT, payload);
      return timed(10_000, () => runMany(pool, 10_000, IN_FLIGHT, payload));
    },
  },

  "100,000 queued empty tasks": {
    contenders: pools,
    job: "echo",
    async run(pool) {
      await runMany(pool, 20_000, IN_FLIGHT);
      return timed(100_000, () => Promise.all(Array.from({ length: 100_000 }, () => pool.run())));
    },
  },

  "bytes per queued task": {
    contenders: ["ours", "piscina"],
    job: "echo",
    async run(pool) {
      const count = 100_000;
      // The heap grows to its size before.
      await Promise.all(Array.from({ length: count }, () => pool.run()));
      for (let turn = 0; turn < 4; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        gc();
      }
      const before = process.memoryUsage.rss();
      let done;
      if (pool.pause !== undefined) {
        pool.pause();
        for (let index = 0; index < count; index++) void pool.submit();
        done = Promise.resolve();
      } else {
        const results = [];
        for (let index = 0; index < count; index++) results.push(pool.run());
        done = Promise.all(results);
      }
      gc();
      const bytes = (process.memoryUsage.rss() - before) / count;
      await (pool.finish?.() ?? done);
      return { bytes };
    },
  },

  "constructor to first result": {
    contenders: pools,
    job: "echo",
    startsInside: true,
    async run(make) {
      const started = performance.now();
      const pool = await make();
      await pool.run();
      const ms = performance.now() - started;
      await pool.close();
      return { ms };
    },
  },

  "gzip of 1 MiB, 64 times": {
    contenders: ["ours", "piscina"],
    job: "gzip",
    async run(pool) {
      const data = textLike(1024 * 1024);
      await runMany(pool, 4, 4, { data });
      const { utilization } = performance.eventLoopUtilization();
      const result = await timed(64, () => Promise.all(Array.from({ length: 64 }, () => pool.run({ data }))));
      return { ms: result.ms, js_busy: utilization };
    },
  },

  "resize of a 12-megapixel JPEG, 16 times": {
    contenders: ["ours", "piscina"],
    job: "resize",
    async run(pool) {
      const image = await photograph();
      const payload = { image, operation: "resize", width: 800 };
      await runMany(pool, 2, 2, payload);
      const { ms } = await timed(16, () => Promise.all(Array.from({ length: 16 }, () => pool.run(payload))));
      return { ms };
    },
  },
};

/** Words in an order that looks random, the same in each run. */
function textLike(size) {
  const words =
    "the of and to in is that it was for on are as with his they at be this have from or one had by".split(
      " ",
    );
  const noise = createHash("shake256", { outputLength: size }).update("text").digest();
  let text = "";
  for (let index = 0; text.length < size; index++) text += `${words[noise[index] % words.length]} `;
  return Buffer.from(text.slice(0, size));
}

/** 4000 x 3000 pixels with structure at all scales. */
async function photograph() {
  const sharp = require("sharp");
  const noise = createHash("shake256", { outputLength: 500 * 375 * 3 })
    .update("photograph")
    .digest();
  return sharp(noise, { raw: { width: 500, height: 375, channels: 3 } })
    .blur(2)
    .resize(4000, 3000, { kernel: "cubic" })
    .jpeg({ quality: 88 })
    .toBuffer();
}
