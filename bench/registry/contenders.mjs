/* The registries that are measured. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inProject } from "../../scripts/lib/project.mjs";
import { Registry } from "../peer/registry.js";

const require = createRequire(import.meta.url);

export const contenders = {
  ours() {
    const { ClaudeFlowMemory, WorkerRegistry } = require(inProject("registry.js"));
    const memory = new ClaudeFlowMemory();
    return Object.assign(new WorkerRegistry({ memory }), { memory });
  },

  peer() {
    return new Registry();
  },

  /** Through a redis-server of its own, which ends with this process. */
  async redis() {
    const { RedisStore, WorkerRegistry } = require(inProject("registry.js"));
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), "wsn-bench-"));
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
    const server = spawn("redis-server", args, { stdio: "ignore" });
    process.once("exit", () => server.kill());
    const memory = new RedisStore({ url: `redis://127.0.0.1:${port}` });
    await answered(memory);
    const registry = new WorkerRegistry({ memory });
    return Object.assign(registry, { roundTrip: () => memory.get("none") });
  },
};

async function answered(memory) {
  for (;;) {
    try {
      await memory.get("none");
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
