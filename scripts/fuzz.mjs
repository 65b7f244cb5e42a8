/*
 * npm run fuzz [-- <target> [seconds]]
 *
 * Builds the targets of fuzz/ with libFuzzer and lets one of them, or each, run for so long (60 s unless told). What it
 * finds goes to target/fuzz/corpus/<target>, what breaks it to target/fuzz/artifacts. Needs a C++ compiler, but no
 * nightly: the coverage that libFuzzer goes by is asked of LLVM directly. With a nightly, `cargo fuzz run <target>` does
 * as well.
 */
import { mkdirSync } from "node:fs";
import { fuzzTargets } from "./lib/fuzz.mjs";
import { Refusal, inProject, main } from "./lib/project.mjs";
import { capture, show } from "./lib/run.mjs";

const coverage = [
  "-Cpasses=sancov-module",
  "-Cllvm-args=-sanitizer-coverage-level=4",
  "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
  "-Cllvm-args=-sanitizer-coverage-pc-table",
  "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
const folder = inProject("target", "fuzz");

await main(async () => {
  const [name, seconds = "60"] = process.argv.slice(2);
  const targets = name === undefined ? fuzzTargets() : [name];
  const unknown = targets.find((target) => !fuzzTargets().includes(target));
  if (unknown !== undefined) {
    throw new Refusal(`Expected one of ${fuzzTargets().join(", ")}, got "${unknown}".`);
  }
  const host = await hostTriple();
  const build = ["build", "--release", "--manifest-path=fuzz/Cargo.toml", `--target-dir=${folder}`];
  // Naming the platform keeps the flags from build scripts.
  build.push(`--target=${host}`, ...fuzzTargets().map((target) => `--bin=${target}`));
  if ((await show("cargo", build, { env: { RUSTFLAGS: coverage.join(" ") } })) !== 0) {
    throw new Refusal("Could not build the fuzz targets: libFuzzer needs a C++ compiler (c++).");
  }
  for (const target of targets) await fuzz(target, Number(seconds), host);
});

async function fuzz(target, seconds, host) {
  const corpus = inProject("target", "fuzz", "corpus", target);
  const artifacts = inProject("target", "fuzz", "artifacts");
  for (const path of [corpus, artifacts]) mkdirSync(path, { recursive: true });
  const program = inProject("target", "fuzz", host, "release", target);
  const code = await show(program, [
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${artifacts}/${target}-`,
    "-print_final_stats=1",
    corpus,
    inProject("fuzz", "seeds", target),
  ]);
  if (code !== 0) throw new Refusal(`${target} failed; the input is in ${artifacts}.`);
}

async function hostTriple() {
  const { stdout } = await capture("rustc", ["--version", "--verbose"]);
  return /^host: (.*)$/m.exec(stdout)[1];
}
