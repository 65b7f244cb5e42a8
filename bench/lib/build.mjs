import { existsSync } from "node:fs";
import { ensureBuilt } from "../../scripts/lib/builds.mjs";
import { ensureDependencies } from "../../scripts/lib/dependencies.mjs";
import { Refusal, inProject } from "../../scripts/lib/project.mjs";
import { show } from "../../scripts/lib/run.mjs";
import { ensureToolchain } from "../../scripts/lib/toolchain.mjs";

/** The load generator's program. */
export const generator = inProject("target/loadgen/release/loadgen");

/** Builds what is not up to date: the package and the peers' dependencies. */
export async function buildPackage() {
  await ensureToolchain();
  await ensureDependencies();
  await ensureBuilt("native", "facade");
  await installPeers();
}

/** The same, and the generator. */
export async function buildAll() {
  await buildPackage();
  const cwd = inProject("bench/loadgen");
  if ((await show("cargo", ["build", "--release", "--quiet", "--locked"], { cwd })) !== 0)
    throw new Refusal("Could not build the load generator (the compiler's output is above).");
}

/** Nothing has to be compiled: `bufferutil` and `sharp` bring their binaries. */
async function installPeers() {
  if (["bufferutil", "piscina"].every((name) => existsSync(inProject("bench/node_modules", name)))) return;
  const cwd = inProject("bench");
  const code = await show("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd,
  });
  if (code !== 0) throw new Refusal("`npm ci` in bench failed (its output is above).");
}
