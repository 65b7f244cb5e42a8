/* Counts primes on two threads. Run: node examples/tasks/node/main.mjs */
import { ServerWorkerManager, TaskManager } from "worker-server-native/tasks/server";

const taskManager = new TaskManager();
const workerManager = new ServerWorkerManager({
  manager: taskManager,
  configs: [{ tasks: ["count-primes"], script: new URL("./worker.mjs", import.meta.url), count: 2 }],
});

const limits = [10, 1000, 100_000];
const counts = await Promise.all(
  limits.map((limit) => taskManager.run({ name: "count-primes", params: { limit }, timeout: 5000 })),
);
for (const [index, limit] of limits.entries()) console.log(`${counts[index]} primes below ${limit}`);

await taskManager.run({ name: "count-primes", params: { limit: -1 } }).catch((error) => {
  console.log(`${error.code}: ${error.message}`);
});
console.log(`failed: ${taskManager.status().failed.length}`);

workerManager.close();
taskManager.close();
