// A process of its own with a registry on Redis, for tests. Arguments: url of the server, what to do, a worker, how often.
const { RedisStore, WorkerRegistry } = require("../../registry.js");

const [url, what, worker, times] = process.argv.slice(2);
const memory = new RedisStore({ url });
const registry = new WorkerRegistry({ memory });

const work = {
  /** Adds tasks to one worker. */
  count: async () => {
    await Promise.all(Array.from({ length: Number(times) }, () => registry.updateTaskCount(worker, 1)));
  },
  /** Takes slots and gives them back; tells the most that were in use. */
  acquire: async () => {
    let most = 0;
    let acquired = 0;
    for (let turn = 0; turn < Number(times); turn += 1) {
      const found = await registry.tryAcquire();
      if (found === null) continue;
      acquired += 1;
      most = Math.max(most, found.currentTasks);
      await registry.recordTaskCompletion(found.id, true, 1);
    }
    process.stdout.write(JSON.stringify({ most, acquired }));
  },
  /** Holds reservations until the process is killed. */
  hold: async () => {
    for (let turn = 0; turn < Number(times); turn += 1) await registry.acquire({}, { leaseMs: 300 });
    process.stdout.write("holding");
    setInterval(() => {}, 60_000);
    await new Promise(() => {});
  },
};

async function run() {
  await work[what]();
  await registry.close();
  await memory.close();
}

void run();
