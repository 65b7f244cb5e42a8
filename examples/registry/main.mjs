// Starts two workers and a dispatcher, each in a process of its own, on the Redis server of the variable REDIS_URL or, without
// it, on one that it starts itself.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const redis = process.env.REDIS_URL === undefined ? await startRedis() : undefined;
const env = { ...process.env, REDIS_URL: redis?.url ?? process.env.REDIS_URL };
const start = (script, ...args) =>
  spawn(process.execPath, [join(import.meta.dirname, script), ...args], { env, stdio: "inherit" });

const workers = [start("worker.mjs", "upper", "2"), start("worker.mjs", "reverse", "1")];
const dispatcher = start("dispatcher.mjs");
const [code] = await once(dispatcher, "exit");
for (const worker of workers) {
  worker.kill("SIGTERM");
  await once(worker, "exit");
}
await redis?.stop();
process.exitCode = code;

async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), "registry-example-"));
  const port = await freePort();
  const args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder].map(String);
  const server = spawn("redis-server", args, { stdio: "ignore" });
  server.on("error", () => {
    console.error("Install redis-server, or set REDIS_URL.");
    process.exit(1);
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      server.kill();
      await once(server, "exit");
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
