import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { eventually, node } from "./harness";
import { registryOn, useRedis } from "./redis-harness";

const SCRIPT = join(__dirname, "redis-client.cjs");

const redis = useRedis();

function start(what: string, worker: string, times: number): ChildProcess {
  const args = [SCRIPT, redis().url, what, worker, String(times)];
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
}

/** What the process has written when it ends. */
async function outputOf(child: ChildProcess): Promise<string> {
  let output = "";
  child.stdout!.on("data", (chunk) => (output += String(chunk)));
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  return output;
}

test("1,000 parallel changes of one process are all counted", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1"));
  await Promise.all(Array.from({ length: 1_000 }, () => registry.updateTaskCount(worker.id, 1)));
  expect((await registry.getWorker(worker.id))!.currentTasks).toBe(1_000);
});

test("500 changes of each of four processes are all counted", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1"));
  await Promise.all(Array.from({ length: 4 }, () => outputOf(start("count", worker.id, 500))));
  expect((await registry.getWorker(worker.id))!.currentTasks).toBe(2_000);
}, 30_000);

test("eight processes never take more than the slots there are", async () => {
  const registry = registryOn(redis());
  const workers = [];
  for (let count = 0; count < 5; count += 1) {
    workers.push(await registry.registerWorker(node(`node-${count}`, [], 10)));
  }
  const outputs = await Promise.all(Array.from({ length: 8 }, () => outputOf(start("acquire", "", 200))));
  let acquired = 0;
  for (const output of outputs) {
    const result = JSON.parse(output);
    expect(result.most).toBeLessThanOrEqual(10);
    acquired += result.acquired;
  }
  const after = await registry.discoverWorkers();
  expect(after.map(({ currentTasks }) => currentTasks)).toEqual([0, 0, 0, 0, 0]);
  expect(after.reduce((sum, { metrics }) => sum + metrics.tasksCompleted, 0)).toBe(acquired);
  expect(acquired).toBe(1_600);
}, 30_000);

test("50 slots are given out 50 times, whoever asks at the same time", async () => {
  const registries = Array.from({ length: 4 }, () => registryOn(redis()));
  await registries[0]!.registerWorker(node("node-1", [], 30));
  await registries[0]!.registerWorker(node("node-2", [], 20));
  const asked = registries.flatMap((registry) => Array.from({ length: 40 }, () => registry.tryAcquire()));
  const found = await Promise.all(asked);
  expect(found.filter((worker) => worker !== null)).toHaveLength(50);
  for (const worker of await registries[1]!.discoverWorkers()) {
    expect(worker.currentTasks).toBe(worker.maxConcurrentTasks);
  }
});

test("slots of a dispatcher that is killed come back", async () => {
  const registry = registryOn(redis());
  const worker = await registry.registerWorker(node("node-1", [], 10));
  const child = start("hold", "", 10);
  await once(child.stdout!, "data");
  child.kill("SIGKILL");
  await once(child, "close");
  await eventually(async () => (await registry.tryAcquire({}, 10)) !== null, "all slots came back");
  expect((await registry.getWorker(worker.id))!.currentTasks).toBe(10);
});
