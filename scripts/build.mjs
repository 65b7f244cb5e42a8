/*
 * npm run build [native] [facade] [faults]
 *
 * Builds what changed since the last time; without a name the package itself, that is the add-on and the facade.
 */
import { ensureBuilt } from "./lib/builds.mjs";
import { ensureDependencies } from "./lib/dependencies.mjs";
import { Refusal, main } from "./lib/project.mjs";
import { ensureToolchain } from "./lib/toolchain.mjs";

const known = ["native", "facade", "faults"];

await main(async () => {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Refusal(`npm run build: expected ${known.join(", ")}, got "${unknown}".`);
  await ensureToolchain();
  await ensureDependencies();
  await ensureBuilt(...(names.length > 0 ? names : ["native", "facade"]));
});
