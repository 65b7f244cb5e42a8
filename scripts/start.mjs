/*
 * npm start [-- --once] [-- --port <number>]
 *
 * Brings the package up to date and runs examples/main-job.
 */
import { readOptions, usage } from "../examples/main-job/options.mjs";
import { ensureBuilt } from "./lib/builds.mjs";
import { ensureDependencies } from "./lib/dependencies.mjs";
import { Refusal, main } from "./lib/project.mjs";
import { ensureToolchain } from "./lib/toolchain.mjs";

await main(async () => {
  const args = process.argv.slice(2);
  try {
    readOptions(args);
  } catch (error) {
    throw new Refusal(`${error.message}\nUsage: ${usage}`, { cause: error });
  }
  await ensureToolchain();
  await ensureDependencies();
  await ensureBuilt("native", "facade");
  endWithNpm();
  // Only now there is a package that the example can import.
  const mainJob = await import("../examples/main-job/main.mjs");
  process.exitCode = await mainJob.main(args);
});

/** Who ends npm by a signal ends npm's shell, and that does not tell us. */
function endWithNpm() {
  const parent = process.ppid;
  const isOrphan = () => process.ppid !== parent;
  if (process.env.npm_lifecycle_event !== undefined) {
    setInterval(() => isOrphan() && process.kill(process.pid, "SIGTERM"), 250).unref();
  }
}
