// A worker: serves tasks over HTTP, and says in the registry where it is and what it can do.
import { createServer } from "node:http";
import { RedisStore, WorkerRegistry } from "worker-server-native/registry";

const [capability, slots] = process.argv.slice(2);
const memory = new RedisStore({ url: process.env.REDIS_URL, prefix: "example" });
const registry = new WorkerRegistry({ memory });

const server = createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  response.end(capability === "upper" ? text.toUpperCase() : [...text].toReversed().join(""));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const registration = registry.keepAlive({
  nodeId: `http://127.0.0.1:${server.address().port}`,
  capabilities: [capability],
  maxConcurrentTasks: Number(slots),
});
registration.on("lost", (error) => console.error(`${capability}: ${error.message}`));

process.once("SIGTERM", async () => {
  // Unregistered first, so that no task is sent here any more.
  await registration.stop();
  await registry.close();
  await memory.close();
  server.close();
});
