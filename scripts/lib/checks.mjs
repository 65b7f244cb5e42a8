import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fuzzCheck } from "./fuzz.mjs";
import { inProject, tool } from "./project.mjs";
import { capture } from "./run.mjs";
import { filesBelow } from "./stamp.mjs";

/** A check that hangs is a check that fails. */
const longest = { timeout: 20 * 60_000, killSignal: "SIGKILL" };

const nothing = [];
const thePackage = ["native", "facade"];

/**
 * Every check of `npm test`, in order, with what has to be built for it (builds.mjs), and the programs of the system that
 * it runs (system-packages.mjs).
 * `run` resolves to how many things passed and failed, and what to show if one did.
 */
export const checks = {
  rustfmt: { needs: nothing, run: rustfmt },
  clippy: { needs: nothing, run: clippy },
  cargo: {
    needs: nothing,
    run: () =>
      counted(
        "cargo",
        ["test", "--workspace", "--no-fail-fast", "--features=worker-server/fault-injection"],
        cargoCounts,
      ),
  },
  models: {
    needs: nothing,
    run: () =>
      counted(
        "cargo",
        ["test", "--package=worker-server", "--lib", "--features=loom", "models::"],
        cargoCounts,
      ),
  },
  fuzz: { needs: nothing, run: () => fuzzCheck(longest) },
  prettier: { needs: nothing, run: () => single(tool("prettier"), ["--check", "."]) },
  scripts: { needs: nothing, run: scriptTests },
  oxlint: { needs: thePackage, run: () => single(tool("oxlint"), ["--deny-warnings"]) },
  house: { needs: thePackage, run: () => single(process.execPath, ["scripts/house-check.mjs"]) },
  bindings: { needs: thePackage, run: bindings },
  types: { needs: thePackage, run: typeTests },
  package: { needs: thePackage, run: packageChecks },
  jest: {
    needs: [...thePackage, "faults"],
    programs: ["chromium", "faketime", "openssl", "redis-server"],
    run: jest,
  },
};

/** The load generator of the benchmark and the fuzz targets are workspaces of their own. */
async function rustfmt() {
  return together([
    await single("cargo", ["fmt", "--all", "--check"]),
    await single("cargo", ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
    await single("cargo", ["fmt", "--manifest-path", "bench/loadgen/Cargo.toml", "--check"]),
  ]);
}

/** The fuzz targets share what was compiled for the product. */
async function clippy() {
  const fuzz = ["--manifest-path=fuzz/Cargo.toml", "--target-dir=target", "--no-default-features"];
  return together([
    await single("cargo", ["clippy", "--workspace", "--all-targets", "--", "--deny=warnings"]),
    await single("cargo", ["clippy", ...fuzz, "--", "--deny=warnings"]),
  ]);
}

/** A command that passes or fails as a whole. */
async function single(command, args) {
  const { code, output } = await capture(command, args, longest);
  return verdict(code === 0, output);
}

/** A command whose output tells how many tests it ran. One that fails without naming a failed test counts as one. */
async function counted(command, args, count) {
  const { code, output } = await capture(command, args, longest);
  const { passed, failed } = count(output);
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1), output };
}

function verdict(good, output) {
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, output };
}

function together(results) {
  return {
    passed: sum(results.map(({ passed }) => passed)),
    failed: sum(results.map(({ failed }) => failed)),
    output: results.map(({ failed, output }) => (failed > 0 ? output : "")).join(""),
  };
}

/** Each test binary ends with a line like `test result: ok. 12 passed; 0 failed; ...`. */
export function cargoCounts(output) {
  const results = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)];
  return {
    passed: sum(results.map((result) => +result[1])),
    failed: sum(results.map((result) => +result[2])),
  };
}

/** Not jest, for what they test are ES modules of ours that build what jest needs. */
function scriptTests() {
  const files = filesBelow("scripts").filter((path) => path.endsWith(".test.mjs"));
  return counted(process.execPath, ["--test", "--test-reporter=spec", ...files], nodeTestCounts);
}

export function nodeTestCounts(output) {
  const number = (what) => Number(new RegExp(`^\\S* ?${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
  return { passed: number("pass"), failed: number("fail") };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The build has written the loader and its declarations anew; they have to be what the repository holds (or is about to). */
async function bindings() {
  const files = ["native/binding.js", "native/binding.d.ts"];
  if (!existsSync(inProject(".git"))) return { passed: 0, failed: 0, output: "" };
  // The one who runs the tests need not be the one who owns the checkout.
  const git = ["-c", "safe.directory=*"];
  const tracked = await capture("git", [...git, "ls-files", "--error-unmatch", ...files]);
  const same = await capture("git", [...git, "diff", "--exit-code", "--stat", "--", ...files]);
  return verdict(
    tracked.code === 0 && same.code === 0,
    `${tracked.output}${same.output}The generated files in native/ are not what the repository holds: look at the change and \`git add native\`.\n`,
  );
}

async function typeTests() {
  const projects = ["__test__/tsconfig.json", ...["node16", "nodenext", "bundler", "commonjs"].map(consumer)];
  const results = [];
  for (const project of projects) results.push(await single(tool("tsc"), ["--noEmit", "--project", project]));
  return together(results);
}

/** The settings of a program that uses the package. */
function consumer(setting) {
  return `__test__/types/consumers/tsconfig.${setting}.json`;
}

async function jest() {
  return inTemporaryFolder(async (folder) => {
    const report = join(folder, "jest.json");
    const hang = endOf(report);
    const { code, output } = await capture(tool("jest"), ["--ci", "--json", `--outputFile=${report}`], {
      ...longest,
      signal: hang.signal,
    });
    hang.stopWatching();
    // With --json the report is also on stdout, in one line that nobody wants to read.
    const readable = output.replaceAll(/^\{"numFailedTestSuites":.*\n?/gm, "");
    if (!existsSync(report)) return { passed: 0, failed: 1, output: readable };
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    if (hang.signal.aborted) {
      const complaint = "jest did not end: a test has left something open (jest --detectOpenHandles)\n";
      return { passed: numPassedTests, failed: failed + 1, output: readable + complaint };
    }
    return { passed: numPassedTests, failed: code === 0 ? failed : Math.max(failed, 1), output: readable };
  });
}

/** A signal that ends jest when it has written its report and still does not end by itself. */
function endOf(report) {
  const patienceMs = 15_000;
  const controller = new AbortController();
  let reportedAt;
  const timer = setInterval(() => {
    if (existsSync(report)) reportedAt ??= performance.now();
    if (performance.now() - reportedAt > patienceMs) controller.abort();
  }, 250);
  return { signal: controller.signal, stopWatching: () => clearInterval(timer) };
}

/** What users of the tarball will meet: its manifest, and its types under every kind of module resolution. */
async function packageChecks() {
  return inTemporaryFolder(async (folder) => {
    const pack = await capture("npm", ["pack", "--ignore-scripts", "--json", `--pack-destination=${folder}`]);
    if (pack.code !== 0) return verdict(false, pack.output);
    const tarball = join(folder, JSON.parse(pack.stdout)[0].filename);
    return together([
      await single(tool("publint"), ["--strict", tarball]),
      await single(tool("attw"), ["--no-emoji", tarball]),
    ]);
  });
}

async function inTemporaryFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), "worker-server-native-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
