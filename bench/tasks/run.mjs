/*
 * npm run bench:tasks [-- --rounds 5]
 *
 * Measures worker-server-native/tasks beside the same messages posted by hand, and a plain rxjs program
 * (bench/peer/tasks.cjs). Each measurement has a process of its own, one contender after the other in turn.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { transformSync } from "esbuild";
import { ensureBuilt } from "../../scripts/lib/builds.mjs";
import { inProject, main } from "../../scripts/lib/project.mjs";
import { measure, medians } from "../lib/suite.mjs";
import { cases } from "./cases.mjs";

await main(async () => {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
  await ensureBuilt("facade");
  const results = {};
  for (const name of Object.keys(cases)) {
    results[name] = await mediansOf(name, Number(values.rounds));
    process.stdout.write(`${name}\n`);
    for (const [contender, figures] of Object.entries(results[name]))
      process.stdout.write(`  ${contender.padEnd(6)}${JSON.stringify(figures)}\n`);
  }
  process.stdout.write(`\n${targetLines(results).join("\n")}\n`);
});

/** The medians of each contender. */
async function mediansOf(name, rounds) {
  const samples = await measure("bench/tasks", name, cases[name].contenders, rounds);
  return Object.fromEntries(
    Object.entries(samples).map(([contender, figures]) => [contender, medians(figures)]),
  );
}

function targetLines(results) {
  const [many, one, few, all] = Object.values(results);
  const size = gzipSync(
    transformSync(readFileSync(inProject("dist/tasks/browser.mjs"), "utf8"), { minify: true, format: "esm" })
      .code,
    { level: 9 },
  ).length;
  return [
    line("20,000 tasks, of the messages by hand", many.ours.ms / many.raw.ms, 1.3),
    line("20,000 tasks, the peer's time of ours", many.peer.ms / many.ours.ms, 10, true),
    line("one task, p50 of a raw round trip", one.ours.p50_us / one.raw.p50_us, 1.3),
    line("8 subscribers, of 1", all.ours.ms / few.ours.ms, 1.5),
    line("./tasks/browser, KiB min+gzip", size / 1024, 6),
  ];
}

function line(what, reached, target, isLeast = false) {
  const isReached = isLeast ? reached >= target : reached <= target;
  const limit = `${isLeast ? "at least" : "at most"} ${target}`;
  return `${what.padEnd(40)}${reached.toFixed(2).padStart(8)}   ${limit}${isReached ? "" : " (missed)"}`;
}
