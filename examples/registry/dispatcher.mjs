// A dispatcher: for each task it reserves a slot of the best worker and sends the task there.
import { once } from "node:events";
import { RedisStore, WorkerRegistry } from "worker-server-native/registry";

const memory = new RedisStore({ url: process.env.REDIS_URL, prefix: "example" });
const registry = new WorkerRegistry({ memory });
registry.startCleanup();

/** Reserves a slot; waits for a worker that registers or ends a task when there is none. */
async function reserve(capability) {
  for (;;) {
    // If this process dies, the slot comes back after 10 seconds.
    const reservation = await registry.acquire({ capabilities: [capability] }, { leaseMs: 10_000 });
    if (reservation !== null) return reservation;
    await Promise.race([
      once(registry, "workerRegistered"),
      new Promise((resolve) => setTimeout(resolve, 50)),
    ]);
  }
}

async function run(capability, text) {
  const { worker, token } = await reserve(capability);
  const started = Date.now();
  let success = false;
  try {
    const response = await fetch(worker.nodeId, { method: "POST", body: text });
    success = response.ok;
    return await response.text();
  } finally {
    await registry.release(token, { success, durationMs: Date.now() - started });
  }
}

const words = ["registry", "worker", "reservation", "heartbeat"];
const tasks = words.flatMap((word) => ["upper", "reverse"].map((capability) => [capability, word]));
const results = await Promise.all(tasks.map(([capability, word]) => run(capability, word)));
console.log(results.join(" "));

for (const worker of await registry.discoverWorkers()) {
  const { tasksCompleted } = worker.metrics;
  console.log(`${worker.capabilities[0]}: ${tasksCompleted} tasks, ${worker.currentTasks} running`);
}
await registry.close();
await memory.close();
