import { readFileSync } from "node:fs";
import { capture } from "./run.mjs";
import { Refusal, inProject } from "./project.mjs";

/** Refuses with one sentence when something that builds the package is missing or too old. */
export async function ensureToolchain() {
  const problem =
    nodeProblem(process.versions.node, minimumNode()) ??
    rustProblem("cargo", await capture("cargo", ["--version"]), minimumRust()) ??
    rustProblem("rustc", await capture("rustc", ["--version"]), minimumRust());
  if (problem) throw new Refusal(problem);
}

/** What only the tests need: the parts of the Rust toolchain that a minimal installation leaves out. */
export async function ensureLinters() {
  const checks = await Promise.all([
    capture("cargo", ["fmt", "--version"]),
    capture("cargo", ["clippy", "--version"]),
  ]);
  if (checks.every(({ code }) => code === 0)) return;
  throw new Refusal("rustfmt and clippy are needed: run `rustup component add rustfmt clippy`.");
}

/** The sentence about Node, or nothing when it will do. */
export function nodeProblem(version, minimum) {
  if (atLeast(version, minimum)) return undefined;
  return `Node.js ${minimum} or newer is needed and this is ${version}: install it from https://nodejs.org.`;
}

/** The sentence about a program of the Rust toolchain, or nothing when it will do. */
export function rustProblem(program, { code, stdout }, minimum) {
  const version = code === 0 ? /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] : undefined;
  if (version === undefined) {
    return `${program} was not found: install Rust ${minimum} or newer from https://rustup.rs.`;
  }
  if (atLeast(version, minimum)) return undefined;
  return `Rust ${minimum} or newer is needed and ${program} is ${version}: run \`rustup update stable\` (https://rustup.rs).`;
}

export function atLeast(version, minimum) {
  const have = version.split(".").map(Number);
  const want = minimum.split(".").map(Number);
  for (let i = 0; i < want.length; i++) {
    const difference = (have[i] ?? 0) - want[i];
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function minimumNode() {
  const { engines } = JSON.parse(readFileSync(inProject("package.json"), "utf8"));
  return /\d+(\.\d+)*/.exec(engines.node)[0];
}

function minimumRust() {
  return /^rust-version = "([^"]+)"/m.exec(readFileSync(inProject("Cargo.toml"), "utf8"))[1];
}
