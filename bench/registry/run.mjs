/*
 * npm run bench:registry [-- --case heartbeat] [--rounds 3] [--document]
 *
 * Measures worker-server-native/registry beside a registry in plain JavaScript (bench/peer/registry.js), and on a
 * redis-server. `--document` writes docs/benchmarks-registry.md.
 */
import { main } from "../../scripts/lib/project.mjs";
import { machine } from "../lib/machine.mjs";
import { runSuite } from "../lib/suite.mjs";
import { cases } from "./cases.mjs";
import { targets } from "./targets.mjs";

await main(() =>
  runSuite({
    folder: "bench/registry",
    cases,
    targets,
    document: "docs/benchmarks-registry.md",
    introduction,
  }),
);

function introduction() {
  const { cpu, cores, node, kernel, commit, date } = machine();
  return [
    "# Benchmarks of worker-server-native/registry",
    "",
    `Measured by \`npm run bench:registry\` on ${date.slice(0, 10)} at commit ${commit}: ${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}. Medians over the rounds; every measurement has a process of its own. "peer" is a registry in plain JavaScript over a \`Map\` with JSON values. 10,000 workers where nothing else is said. On Redis, client and server share the two cores.`,
    "",
  ];
}
