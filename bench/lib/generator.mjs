import { capture } from "../../scripts/lib/run.mjs";
import { generator } from "./build.mjs";
import { token } from "./server-process.mjs";

/** Nothing takes longer unless something hangs. */
const longest = 180_000;

/** Runs a command of the generator against a server; what it found out. */
export async function generate(server, command, options, { timeout = longest } = {}) {
  const all = {
    server: `127.0.0.1:${server.port}`,
    control: `127.0.0.1:${server.controlPort}`,
    token,
    ...options,
  };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout, output } = await capture(generator, [command, ...args], { timeout, killSignal: "SIGKILL" });
  const line = stdout.trim().split("\n").at(-1);
  const found = line ? JSON.parse(line) : { error: `no answer: ${output}` };
  if (found.error !== undefined) throw new Error(`loadgen ${command} ${args.join(" ")}: ${found.error}`);
  return found;
}
