import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Refusal, inProject, tool } from "./project.mjs";
import { capture, show } from "./run.mjs";
import { Stamp, filesBelow } from "./stamp.mjs";
import { moveSymbolsOut, symbolSettings } from "./symbols.mjs";

/** Where the add-on with the fault injection lies; the loader takes it by NAPI_RS_NATIVE_LIBRARY_PATH. */
export const faultyAddon = "target/fault-injection/worker-server-native.node";

/** The name of the built add-on's file in native/. */
export function builtAddOn() {
  return readdirSync(inProject("native")).find((name) => name.endsWith(".node"));
}

/** Builds what is not up to date: `native` (the add-on), `facade` (the TypeScript), `faults` (the add-on with fault injection). */
export async function ensureBuilt(...names) {
  for (const name of names) {
    const { inputs, outputs, extra, build, title } = await builds[name]();
    const stamp = new Stamp(name, { inputs, outputs, extra });
    if (stamp.isCurrent) continue;
    process.stderr.write(`building ${title}\n`);
    if ((await build()) !== 0)
      throw new Refusal(`Could not build ${title} (the compiler's output is above).`);
    stamp.write();
  }
}

const builds = {
  native: async () => ({
    title: "the native add-on (release)",
    inputs: [...rustSources(), "package-lock.json"],
    outputs: ["native"],
    extra: JSON.stringify([addonConfig(), await rustVersion()]),
    build: buildNative,
  }),

  facade: () => ({
    title: "the TypeScript facade",
    inputs: ["lib", "tsconfig.json", "native/binding.d.ts", "package-lock.json"],
    outputs: ["dist"],
    build: async () => {
      const code = await show(tool("tsc"), ["--project", "tsconfig.json"]);
      if (code !== 0) return code;
      removeOrphans();
      return bundleBrowserTasks();
    },
  }),

  faults: async () => ({
    title: "the add-on with fault injection",
    inputs: rustSources(),
    outputs: [faultyAddon],
    extra: await rustVersion(),
    build: buildFaults,
  }),
};

function rustSources() {
  const crates = readdirSync(inProject("crates")).flatMap((name) => [
    `crates/${name}/Cargo.toml`,
    `crates/${name}/src`,
  ]);
  return ["Cargo.toml", "Cargo.lock", "build.rs", "src", ...crates];
}

/** What of package.json goes into the add-on and its loader. */
function addonConfig() {
  const { name, version, napi } = JSON.parse(readFileSync(inProject("package.json"), "utf8"));
  return { name, version, napi };
}

async function rustVersion() {
  const { stdout } = await capture("rustc", ["--version", "--verbose"]);
  return stdout;
}

async function buildNative() {
  const env = await symbolSettings();
  const args = ["--platform", "--release", "--output-dir=native", "--js=binding.js", "--dts=binding.d.ts"];
  const code = await show(tool("napi"), ["build", ...args], { env });
  return code === 0 && env !== undefined ? moveSymbolsOut(builtAddOn()) : code;
}

/** `./tasks/browser` as one ES module, for bundlers and pages. Its code stays readable; bundlers make it small. */
async function bundleBrowserTasks() {
  const options = ["--bundle", "--format=esm", "--platform=browser", "--target=es2022", "--external:rxjs"];
  return show(tool("esbuild"), [
    inProject("lib/tasks/browser.ts"),
    ...options,
    `--outfile=${inProject("dist/tasks/browser.mjs")}`,
    "--log-level=warning",
  ]);
}

/** The compiler leaves the output of a module that is no longer there. */
function removeOrphans() {
  const modules = new Set(filesBelow("lib").map((path) => withoutSuffix(path).replace(/^lib/, "dist")));
  for (const path of filesBelow("dist")) {
    if (!modules.has(withoutSuffix(path))) rmSync(inProject(path));
  }
}

function withoutSuffix(path) {
  return path.replace(/(\.d)?\.[jt]s$/, "");
}

/** Built like the tests, in cargo's dev profile, so that the two share what they compile. */
async function buildFaults() {
  const { code, stdout, output } = await capture("cargo", [
    "build",
    "--lib",
    "--features=fault-injection",
    "--message-format=json-render-diagnostics",
  ]);
  const library = stdout
    .split("\n")
    .filter((line) => line.startsWith('{"reason":"compiler-artifact"'))
    .map((line) => JSON.parse(line))
    .findLast(({ target }) => target.kind.includes("cdylib"))?.filenames[0];
  if (code !== 0 || library === undefined) {
    process.stderr.write(output.replaceAll(/^\{.*\n/gm, ""));
    return code || 1;
  }
  mkdirSync(dirname(inProject(faultyAddon)), { recursive: true });
  // A running program may have the old file mapped: put a new one in its place instead of writing into it.
  rmSync(inProject(faultyAddon), { force: true });
  copyFileSync(library, inProject(faultyAddon));
  return 0;
}
