import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { inProject } from "../../scripts/lib/project.mjs";
import { contenders } from "./contenders.mjs";

export const token = "bench-token";
export const healthPath = "/healthz";
/** Below those that the system gives to connections. */
const firstPort = 20_000;
const lastPort = 32_000;
let nextPort = firstPort + (process.pid % 10_000);

/** A process with the server under load. */
export class ServerProcess {
  #child;

  #endsBy;

  constructor(child, [port, secondPort, controlPort], endsBy) {
    this.#child = child;
    this.#endsBy = endsBy;
    this.port = port;
    this.secondPort = secondPort;
    this.controlPort = controlPort;
  }

  get pid() {
    return this.#child.pid;
  }

  /** Starts one of the contenders and waits until it listens. */
  static async start(name) {
    const { module, env, flags = [], under = [], endsBy } = contenders[name];
    const ports = [await freePort(), await freePort(), await freePort()];
    const [port, secondPort, controlPort] = ports.map(String);
    const command = [...under, process.execPath, "--expose-gc", ...flags, inProject("bench/server/main.mjs")];
    const child = spawn(command[0], command.slice(1), {
      env: {
        ...process.env,
        ...env,
        MODULE: module,
        PORT: port,
        SECOND_PORT: secondPort,
        CONTROL_PORT: controlPort,
        TOKEN: token,
        HEALTH_PATH: healthPath,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the server ended before it listened (${signal ?? code})`);
    });
    await Promise.race([once(child.stdout, "data"), exited]);
    exited.catch(() => {});
    return new ServerProcess(child, ports, endsBy);
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(this.#endsBy ?? "SIGKILL");
    await once(this.#child, "exit");
  }
}

/** Each port once, so that no connection of an earlier server is in the way. */
async function freePort() {
  for (;;) {
    const port = nextPort++;
    if (nextPort > lastPort) nextPort = firstPort;
    const probe = createServer();
    const isFree = await new Promise((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, () => resolve(true));
    });
    if (isFree) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
}
