import { Program } from "../support/program";

afterEach(async () => Program.endAll());

test("200,000 empty tasks leave no memory behind", async () => {
  const program = Program.startScript(`
        const { setFlagsFromString } = require("node:v8");
        const { runInNewContext } = require("node:vm");
        const { writeFileSync } = require("node:fs");
        const { createWorkerManager } = require("worker-server-native/threads");
        setFlagsFromString("--expose-gc");
        setFlagsFromString("--max-semi-space-size=2");
        const gc = runInNewContext("gc");
        writeFileSync("empty.cjs", "module.exports = () => {};");
        const manager = createWorkerManager({
          minWorkers: 2, maxWorkers: 2, historySize: 1000, maxTaskQueueSize: 1e6,
          maxTasksPerWorker: 0, workerRecycleThreshold: 0, handlers: { CUSTOM: "./empty.cjs" },
          // Young generations that do not grow, so that the memory of the process shows a leak.
          resourceLimits: { maxYoungGenerationSizeMb: 4 },
        });
        async function run(count) {
          for (let done = 0; done < count; done += 1000) {
            const batch = [];
            for (let index = 0; index < 1000; index++) batch.push(manager.run("CUSTOM", null));
            await Promise.all(batch);
          }
          gc();
          return process.memoryUsage();
        }
        (async () => {
          await run(50_000);
          let before = await run(50_000);
          const growths = [];
          for (let round = 0; round < 4; round++) {
            const after = await run(50_000);
            growths.push([after.heapUsed - before.heapUsed, after.rss - before.rss]);
            before = after;
          }
          console.log(JSON.stringify(growths));
          console.log(manager.getMetrics().completedTasks);
          await manager.shutdown();
        })();
      `);
  await program.ended;
  const [growths, completed] = program.lines.map((line) => JSON.parse(line) as unknown);
  expect(completed).toBe(300_000);
  // What every round leaves behind is a leak: a pointer for each task would be 400 kB.
  const [heap, rss] = [0, 1].map((column) =>
    Math.min(...(growths as number[][]).map((growth) => growth[column]!)),
  );
  expect(heap).toBeLessThan(200_000);
  expect(rss).toBeLessThan(2_000_000);
}, 60_000);
