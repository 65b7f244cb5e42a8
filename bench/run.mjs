/*
 * npm run bench [-- --quick] [--case upstream] [--case http/64] [--rounds 3] [--document]
 *
 * Measures the package beside the peer (bench/peer), one after the other in turn, and prints one table. What was measured
 * goes to bench/results; a full run, or one with --document, also writes docs/benchmarks.md and its chart. See bench/README.md.
 */
import { parseArgs } from "node:util";
import { Refusal, main } from "../scripts/lib/project.mjs";
import { allCases } from "./cases/index.mjs";
import { buildAll } from "./lib/build.mjs";
import { descriptorLimit, machine } from "./lib/machine.mjs";
import { measure } from "./lib/measure.mjs";
import { headerLine, rowLines } from "./lib/rows.mjs";
import { Results, documentedCases } from "./lib/results.mjs";
import { targetLines } from "./lib/targets.mjs";

await main(async () => {
  const { quick, filters, rounds, documents } = options();
  const cases = chosen(quick, filters);
  await buildAll();
  const about = machine();
  const isPart = filters.length > 0;
  const results = new Results({
    name: documents ? "documented" : isPart ? "partial" : "quick",
    machine: about,
    rounds,
    cases: documents && isPart ? documentedCases(about) : [],
  });
  process.stdout.write(`${results.heading}\n\n${headerLine}\n`);
  for (const one of cases) {
    const measured = await measure(one, { rounds });
    results.add(measured);
    for (const line of rowLines(measured)) process.stdout.write(`${line}\n`);
  }
  process.stdout.write(`\n${targetLines(results).join("\n")}\n\n${results.closing}\n`);
  await results.publish();
  if (results.faults > 0) process.exitCode = 1;
});

function options() {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      case: { type: "string", multiple: true, default: [] },
      rounds: { type: "string" },
      document: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 3));
  if (!(rounds >= 1)) throw new Refusal(`--rounds: expected a number >= 1, got "${values.rounds}".`);
  if (values.quick && values.document && values.case.length > 0)
    throw new Refusal("--document with --case: cases of the document are measured in full, without --quick.");
  const isFull = !values.quick && values.case.length === 0;
  return { quick: values.quick, filters: values.case, rounds, documents: values.document || isFull };
}

function chosen(quick, filters) {
  const all = allCases({ quick, limit: descriptorLimit() });
  const some = all.filter(({ id }) => filters.length === 0 || filters.some((filter) => id.includes(filter)));
  if (some.length === 0) {
    const ids = all.map(({ id }) => id).join("\n  ");
    throw new Refusal(`--case: nothing matches "${filters.join('", "')}"; there are\n  ${ids}`);
  }
  return some;
}
