/*
 * npm test [-- --only jest,clippy]
 *
 * Brings everything up to date and runs every check; the last line is the total.
 */
import { parseArgs } from "node:util";
import { checks } from "./lib/checks.mjs";
import { ensureBuilt } from "./lib/builds.mjs";
import { ensureDependencies } from "./lib/dependencies.mjs";
import { Refusal } from "./lib/project.mjs";
import { ensurePrograms } from "./lib/system-packages.mjs";
import { ensureLinters, ensureToolchain } from "./lib/toolchain.mjs";

const total = { passed: 0, failed: 0 };
try {
  const names = chosen();
  await ensureToolchain();
  await ensureLinters();
  await ensureDependencies();
  for (const name of names) await run(name);
} catch (error) {
  total.failed++;
  process.stderr.write(`${error instanceof Refusal ? error.message : error.stack}\n`);
}
process.stdout.write(`total: ${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed > 0 ? 1 : 0;

function chosen() {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  const known = Object.keys(checks);
  if (values.only === undefined) return known;
  const names = values.only.split(",");
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Refusal(`--only: expected some of ${known.join(",")}, got "${unknown}".`);
  return names;
}

async function run(name) {
  const check = checks[name];
  await ensurePrograms(...(check.programs ?? []));
  await ensureBuilt(...check.needs);
  const began = performance.now();
  const { passed, failed, output } = await check.run();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  total.passed += passed;
  total.failed += failed;
  if (failed > 0) process.stdout.write(output.endsWith("\n") ? output : `${output}\n`);
  const verdict = failed > 0 ? "FAILED" : "ok";
  process.stdout.write(
    `${verdict.padEnd(7)}${name.padEnd(12)}${`${passed} passed, ${failed} failed`.padEnd(24)}${seconds.padStart(7)} s\n`,
  );
}
