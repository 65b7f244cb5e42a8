/*
 * npm run soak [-- 05 09-slow ...]
 *
 * The tests of the faults a server has to survive (__test__/faults), with as many connections and rounds and in the times
 * that are promised, which `npm test` has no time for. Named ones only, if there are names. Ends with what was measured.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt } from "./lib/builds.mjs";
import { ensureDependencies } from "./lib/dependencies.mjs";
import { main, tool } from "./lib/project.mjs";
import { show } from "./lib/run.mjs";
import { ensureToolchain } from "./lib/toolchain.mjs";

await main(async () => {
  const { positionals } = parseArgs({ allowPositionals: true });
  const paths =
    positionals.length === 0 ? ["__test__/faults/"] : positionals.map((name) => `__test__/faults/${name}`);
  await ensureToolchain();
  await ensureDependencies();
  await ensureBuilt("native", "facade", "faults");
  const folder = mkdtempSync(join(tmpdir(), "worker-server-soak-"));
  const figures = join(folder, "figures");
  try {
    const env = { FAULTS_IN_FULL: "1", FAULTS_FIGURES: figures };
    process.exitCode = await show(tool("jest"), ["--runInBand", "--verbose", ...paths], { env });
    tell(readFileSync(figures, { encoding: "utf8", flag: "a+" }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function tell(figures) {
  let last = "";
  for (const line of figures.split("\n").filter(Boolean)) {
    const { test, what, figure, unit, bound } = JSON.parse(line);
    if (test !== last) process.stdout.write(`\n${test}\n`);
    last = test;
    process.stdout.write(`  ${what}: ${figure} ${unit}${bound === "" ? "" : ` (${bound})`}\n`);
  }
}
