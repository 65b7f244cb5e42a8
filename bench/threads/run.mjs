/*
 * npm run bench:threads [-- --case gzip] [--rounds 3] [--document]
 *
 * Measures worker-server-native/threads beside other pools of threads, each case in a process of its own, one contender
 * after the other in turn. `--document` writes docs/benchmarks-threads.md.
 */
import { statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { inProject, main } from "../../scripts/lib/project.mjs";
import { capture } from "../../scripts/lib/run.mjs";
import { builtAddOn } from "../../scripts/lib/builds.mjs";
import { buildPackage } from "../lib/build.mjs";
import { machine } from "../lib/machine.mjs";
import { cases } from "./cases.mjs";
import { targets } from "./targets.mjs";

await main(async () => {
  const { values } = parseArgs({
    options: {
      case: { type: "string" },
      rounds: { type: "string", default: "3" },
      document: { type: "boolean", default: false },
    },
  });
  await buildPackage();
  const names = Object.keys(cases).filter((name) => values.case === undefined || name.includes(values.case));
  const results = {};
  for (const name of names) {
    results[name] = await measure(name, Number(values.rounds));
    process.stdout.write(`${name}\n${figureLines(results[name]).join("\n")}\n`);
  }
  const lines = documentLines(results);
  process.stdout.write(`\n${lines.join("\n")}\n`);
  if (values.document) writeFileSync(inProject("docs/benchmarks-threads.md"), `${lines.join("\n")}\n`);
});

/** The figures of each contender, round by round. */
async function measure(name, rounds) {
  const figures = {};
  for (let round = 0; round < rounds; round++)
    for (const contender of cases[name].contenders) {
      const script = inProject("bench/threads/measure.mjs");
      const { code, stdout, output } = await capture(process.execPath, [
        "--expose-gc",
        script,
        name,
        contender,
      ]);
      if (code !== 0) throw new Error(`${name} with ${contender} failed:\n${output}`);
      (figures[contender] ??= []).push(JSON.parse(stdout));
    }
  return figures;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function medians(samples) {
  return Object.fromEntries(
    Object.keys(samples[0]).map((key) => [key, median(samples.map((sample) => sample[key]))]),
  );
}

function figureLines(figures) {
  return Object.entries(figures).map(([contender, samples]) => {
    const texts = Object.entries(medians(samples)).map(
      ([key, value]) => `${key} ${value.toFixed(value < 100 ? 2 : 0)}`,
    );
    return `  ${contender.padEnd(12)}${texts.join("  ")}`;
  });
}

function documentLines(results) {
  const require = createRequire(inProject("bench/package.json"));
  const versionOf = (name) =>
    `${name} ${require(`${inProject("bench/node_modules")}/${name}/package.json`).version}`;
  const { cpu, cores, node, kernel, commit, date } = machine();
  return [
    "# Benchmarks of worker-server-native/threads",
    "",
    `Measured by \`npm run bench:threads\` on ${date.slice(0, 10)} at commit ${commit}: ${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; ${["piscina", "tinypool", "workerpool", "poolifier", "sharp"].map(versionOf).join(", ")}. Two threads each. Medians over the rounds; every measurement has a process of its own. "raw" is two threads that answer each message of a \`MessagePort\`: no queue, no errors, no timeouts.`,
    "",
    `The add-on's file has ${(statSync(inProject("native", builtAddOn())).size / 1e6).toFixed(1)} MB, four fifths of it for the native handlers (brotli, zstd, image formats, scaling); without them it had 1.5 MB.`,
    "",
    "## Targets",
    "",
    "| what | reached | at least | aim |",
    "| --- | --- | --- | --- |",
    ...targets.flatMap((target) => targetLine(target, results)),
    "",
    "## Figures",
    "",
    ...Object.entries(results).flatMap(([name, figures]) => table(name, figures)),
  ];
}

function targetLine({ what, name, key, against, isMost, speed, least, aim, absolute }, results) {
  const figures = results[name];
  if (figures === undefined) return [];
  const ours = medians(figures.ours)[key];
  const others = against
    .filter((other) => figures[other] !== undefined)
    .map((other) => medians(figures[other])[key]);
  const isCost = isMost || speed;
  const best = isCost ? Math.min(...others) : Math.max(...others);
  const reached = absolute ? ours : speed ? best / ours : ours / best;
  const isReached = isMost || absolute ? reached <= least : reached >= least;
  const mark = isReached ? "" : " (missed)";
  const show = (value) => (typeof value === "number" ? value.toFixed(absolute ? 0 : 2) : value);
  return [`| ${what} | ${show(reached)}${mark} | ${show(least)} | ${aim ?? ""} |`];
}

function table(name, figures) {
  const keys = Object.keys(medians(figures.ours));
  return [
    `### ${name}`,
    "",
    `| | ${keys.map((key) => key.replaceAll("_", " ")).join(" | ")} |`,
    `| --- | ${keys.map(() => "---").join(" | ")} |`,
    ...Object.entries(figures).map(([contender, samples]) => {
      const values = medians(samples);
      return `| ${contender} | ${keys.map((key) => values[key].toFixed(values[key] < 100 ? 2 : 0)).join(" | ")} |`;
    }),
    "",
  ];
}
