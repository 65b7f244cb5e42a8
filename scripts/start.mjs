/*
 * npm start [-- --once] [-- --port <number>]
 *
 * Brings the package up to date and runs examples/main-job. package.json says `exec`, for a shell between npm and
 * this program would keep an interruption to itself; where the shell has no `exec` (Windows): node scripts/start.mjs.
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
  // Only now there is a package that the example can import.
  const mainJob = await import("../examples/main-job/main.mjs");
  process.exitCode = await mainJob.main(args);
});
