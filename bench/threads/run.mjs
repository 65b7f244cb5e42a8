/*
 * npm run bench:threads [-- --case gzip] [--rounds 3] [--document]
 *
 * Measures worker-server-native/threads beside other pools of threads. `--document` writes docs/benchmarks-threads.md.
 */
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { inProject, main } from "../../scripts/lib/project.mjs";
import { builtAddOn } from "../../scripts/lib/builds.mjs";
import { machine } from "../lib/machine.mjs";
import { runSuite } from "../lib/suite.mjs";
import { cases } from "./cases.mjs";
import { targets } from "./targets.mjs";

await main(() =>
  runSuite({
    folder: "bench/threads",
    cases,
    targets,
    document: "docs/benchmarks-threads.md",
    introduction,
  }),
);

function introduction() {
  const require = createRequire(inProject("bench/package.json"));
  const versionOf = (name) =>
    `${name} ${require(`${inProject("bench/node_modules")}/${name}/package.json`).version}`;
  const { cpu, cores, node, kernel, commit, date } = machine();
  return [
    "# Benchmarks of worker-server-native/threads",
    "",
    `Measured by \`npm run bench:threads\` on ${date.slice(0, 10)} at commit ${commit}: ${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; ${["piscina", "tinypool", "workerpool", "poolifier", "sharp"].map(versionOf).join(", ")}. Two threads each. Medians over the rounds; every measurement has a process of its own. "raw" is two threads that answer each message of a \`MessagePort\`: no queue, no errors, no timeouts.`,
    "",
    `The add-on's file has ${(statSync(inProject("native", builtAddOn())).size / 1e6).toFixed(1)} MB.`,
    "",
  ];
}
