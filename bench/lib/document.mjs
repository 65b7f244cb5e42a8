import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { inProject } from "../../scripts/lib/project.mjs";
import { growthChart } from "./growth-chart.mjs";
import { isBusy } from "./quiet.mjs";
import { rowCells, titles } from "./rows.mjs";
import { goal, judged, reachedText } from "./targets.mjs";

const path = "docs/benchmarks.md";
const chartPath = "docs/benchmark-growth.svg";

/** Writes the document and its chart from a run's results; returns the paths that it wrote. */
export function writeDocument(results) {
  const chart = growthChart(results.cases);
  const parts = [introduction(results), targetTable(results)];
  if (chart !== undefined) {
    write(chartPath, chart);
    parts.push(growthSection());
  }
  write(path, `${[...parts, ...groups(results.cases)].join("\n\n")}\n`);
  return chart === undefined ? [path] : [path, chartPath];
}

function write(name, text) {
  mkdirSync(dirname(inProject(name)), { recursive: true });
  writeFileSync(inProject(name), text);
}

function introduction({ machine, faults, cases }) {
  const { cpu, cores, memoryGiB, kernel, node, ws, bufferutil, rustc, descriptorLimit } = machine;
  const loadBefore = Math.max(...cases.map((one) => one.loadBefore));
  const rounds = Math.min(...cases.map((one) => one.rounds));
  return `# Benchmarks

<!-- Written by \`npm run bench\`; do not edit. -->

Our server beside a _peer_ that does the same job by hand on the [\`ws\`](https://github.com/websockets/ws) package in plain JavaScript (\`bench/peer\`), both loaded by the same generator over the loopback interface, one after the other in turn (${rounds} rounds or more, each in a new process). \`bench/README.md\` says what each case does and how to read the figures.

| | |
| --- | --- |
| commit, date | ${measuredAt(cases)} |
| machine | ${cores} x ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, at most ${descriptorLimit.toLocaleString("en-US")} descriptors per process |
| versions | Node ${node}, ws ${ws}, bufferutil ${bufferutil}, rustc ${rustc} |
| noise | ${isBusy({ ...machine, loadBefore }) ? `**others used the machine** (load ${loadBefore} before the run): figures are noisy` : `quiet (load ${loadBefore} before the run)`} |
| faults | ${faults === 0 ? "none: no message lost, no connection lost" : `**${faults}**, see the results`} |

The generator runs on the same cores as the server; its own share of a core stands in the last column.`;
}

/** The commit that most cases were measured at, and which ones were measured again at others. */
function measuredAt(cases) {
  const kinds = groupBy(cases, kindOf);
  const commits = groupBy(cases, ({ commit, date }) => `${commit}, ${date.slice(0, 10)}`);
  const [most, ...others] = [...commits].toSorted(([, one], [, other]) => other.length - one.length);
  const named = (some) =>
    [...groupBy(some, kindOf)].flatMap(([kind, ofKind]) =>
      ofKind.length === kinds.get(kind).length ? [kind] : ofKind.map(({ id }) => id),
    );
  const again = others.map(([commit, some]) => `${named(some).join("; ")}: ${commit}`);
  return [most[0], ...again].join("<br>");
}

function targetTable(results) {
  const rows = judged(results).map(({ target, reached, met, aimed }) => {
    const verdict =
      met < reached.length ? "**missed**" : aimed === reached.length ? "aim reached" : "reached";
    const where = reached.length > 1 ? `${verdict} (${met} of ${reached.length})` : verdict;
    return [
      target.what,
      reachedText(target, reached),
      goal(target, target.least),
      goal(target, target.aim),
      where,
    ];
  });
  return `## What was to be reached\n\nRatios to the peer.\n\n${table(["what", "reached", "at least", "aim", ""], rows)}`;
}

function growthSection() {
  return `## Growth

![Cost of a selection and of tracking and releasing a request, by the number of workers](benchmark-growth.svg)`;
}

/** A section for each kind of case: the word before the slash of its id. */
function groups(cases) {
  const kinds = groupBy(cases, kindOf);
  return [...kinds].map(([kind, some]) => {
    const [first, ...others] = titles;
    const rows = some.flatMap((one) => rowCells({ ...one, title: one.id.slice(kind.length + 1) }));
    return `## ${kind[0].toUpperCase()}${kind.slice(1)}\n\n${table([first, ...others], rows)}${faultLines(some)}`;
  });
}

function faultLines(cases) {
  const lines = cases.flatMap(({ id, faults }) => faults.map((fault) => `- ${id}: ${fault}`));
  return lines.length === 0 ? "" : `\n\nFaults:\n\n${lines.join("\n")}`;
}

function kindOf({ id }) {
  return id.split("/")[0];
}

/** As Map.groupBy, which Node 20 does not have. */
function groupBy(values, keyOf) {
  const map = new Map();
  for (const value of values) map.set(keyOf(value), [...(map.get(keyOf(value)) ?? []), value]);
  return map;
}

function table(header, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}
