/*
 * Runs the cases of one system, each with every contender in a process of its own, one contender after the other in turn,
 * and writes the figures and the targets that they reach.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { inProject } from "../../scripts/lib/project.mjs";
import { capture } from "../../scripts/lib/run.mjs";
import { buildPackage } from "./build.mjs";

/**
 * `folder` has the measure.mjs that measures one case with one contender. `introduction` are the lines of the document before
 * the targets. `--case`, `--rounds` and `--document` are read from the command line.
 */
export async function runSuite({ folder, cases, targets, document, introduction }) {
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
    results[name] = await measure(folder, name, cases[name].contenders, Number(values.rounds));
    process.stdout.write(`${name}\n${figureLines(results[name]).join("\n")}\n`);
  }
  const lines = [
    ...introduction(),
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
  process.stdout.write(`\n${lines.join("\n")}\n`);
  if (values.document) writeFileSync(inProject(document), `${lines.join("\n")}\n`);
}

/** The figures of each contender, round by round. */
export async function measure(folder, name, contenders, rounds) {
  const figures = {};
  for (let round = 0; round < rounds; round++)
    for (const contender of contenders) {
      const script = inProject(folder, "measure.mjs");
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

/** The median of each figure over the rounds. */
export function medians(samples) {
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

function targetLine({ what, name, key, against, isMost, speed, least, aim, absolute }, results) {
  const figures = results[name];
  if (figures === undefined) return [];
  const ours = medians(figures.ours)[key];
  const others = (against ?? [])
    .filter((other) => figures[other] !== undefined)
    .map((other) => medians(figures[other])[key]);
  const isCost = isMost || speed;
  const best = isCost ? Math.min(...others) : Math.max(...others);
  const reached = absolute ? ours : speed ? best / ours : ours / best;
  const isReached = isMost ? reached <= least : reached >= least;
  const mark = isReached ? "" : " (missed)";
  const show = (value) =>
    typeof value === "number" ? value.toFixed(absolute && value >= 100 ? 0 : 2) : value;
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
