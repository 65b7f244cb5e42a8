/* What the scripts decide by themselves: whether tools and dependencies will do, and how many tests there were. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cargoCounts, nodeTestCounts } from "./checks.mjs";
import { fits } from "./dependencies.mjs";
import { wrongVerdicts } from "./fuzz.mjs";
import { sentence } from "./system-packages.mjs";
import { atLeast, nodeProblem, rustProblem } from "./toolchain.mjs";

test("versions are compared as numbers, as far as the minimum goes", () => {
  assert.equal(atLeast("1.100.0", "1.89"), true);
  assert.equal(atLeast("1.89.0", "1.89"), true);
  assert.equal(atLeast("1.88.9", "1.89"), false);
  assert.equal(atLeast("20.0.0", "20"), true);
  assert.equal(atLeast("18.20.0", "20"), false);
  assert.equal(atLeast("2", "1.89"), true);
});

test("a missing program is one sentence that names the package", () => {
  assert.equal(
    sentence("faketime"),
    "The tests need faketime: install the package faketime (Debian, Ubuntu) or libfaketime (others).",
  );
});

test("a missing or old tool is one sentence that names what to install", () => {
  assert.match(
    nodeProblem("18.0.0", "20"),
    /^Node\.js 20 or newer is needed and this is 18\.0\.0: install it from \S+\.$/,
  );
  assert.match(
    rustProblem("cargo", { code: 127, stdout: "" }, "1.89"),
    /^cargo was not found: install Rust 1\.89 or newer/,
  );
  assert.match(
    rustProblem("rustc", { code: 0, stdout: "rustc 1.70.0 (x)" }, "1.89"),
    /rustc is 1\.70\.0: run `rustup update/,
  );
  assert.equal(nodeProblem("20.0.0", "20"), undefined);
  assert.equal(rustProblem("cargo", { code: 0, stdout: "cargo 1.95.0 (x 2026-03-21)" }, "1.89"), undefined);
});

test("node_modules fits when all that is not optional is there as the lock says", () => {
  const a = { version: "1.0.0", integrity: "sha512-a" };
  const lock = { "": {}, "node_modules/a": a, "node_modules/b": { version: "2.0.0", optional: true } };
  assert.equal(fits(lock, { "node_modules/a": a }), true);
  assert.equal(fits(lock, {}), false);
  assert.equal(fits(lock, { "node_modules/a": { ...a, version: "1.0.1" } }), false);
  assert.equal(fits(lock, { "node_modules/a": { ...a, integrity: "sha512-b" } }), false);
  assert.equal(
    fits(lock, { "node_modules/a": a, "node_modules/b": { version: "3.0.0", optional: true } }),
    false,
  );
});

test("passed and failed tests are read from what the runners print", () => {
  const cargo = [
    "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
  ].join("\n");
  assert.deepEqual(cargoCounts(cargo), { passed: 15, failed: 2 });
  assert.deepEqual(cargoCounts("error: could not compile"), { passed: 0, failed: 0 });
  assert.deepEqual(nodeTestCounts("ℹ tests 5\nℹ pass 4\nℹ fail 1\n"), { passed: 4, failed: 1 });
  assert.deepEqual(nodeTestCounts("# pass 4\n# fail 1\n"), { passed: 4, failed: 1 });
});

test("what the scanner says about a message is held against JSON.parse", () => {
  const line = (text, verdict, isJson = text !== "{") => JSON.stringify({ text, isJson, verdict });
  const beat = '{"type":"heartbeat","workerId":5}';
  const right = [
    line(beat, { kind: "heartbeat", workerId: "5.0", timestamp: null }),
    line("{", { kind: "invalid" }),
    line("[]", { kind: "untyped" }),
    line('{"type":"x"}', { kind: "application" }),
  ];
  const wrong = [
    line(beat, { kind: "application" }),
    line(beat, { kind: "heartbeat", workerId: '"5"', timestamp: null }),
    line(beat, { kind: "heartbeat", workerId: null, timestamp: null }),
    line("{}", { kind: "invalid" }),
    line('{"type":"x"}', { kind: "untyped" }),
    line('{"type":"x"}', { kind: "application" }, false),
    line("{", { kind: "invalid" }, true),
  ];
  assert.deepEqual(wrongVerdicts([...right, ...wrong, ""].join("\n")), wrong);
});
