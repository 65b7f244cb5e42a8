/* Each rule holds for a good project and fires on a bad one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { completed } from "../lib/lock.mjs";
import * as rules from "./rules.mjs";
import { codeOf } from "./rust-code.mjs";

const clippy = `allow-unwrap-in-tests = true
disallowed-methods = [
  "std::time::Instant::now",
  "std::time::Instant::elapsed",
  { path = "std::time::SystemTime::now", reason = "time is passed in" },
  "std::time::SystemTime::elapsed",
]
`;

const locked = {
  "node_modules/a": {
    version: "1.0.0",
    dev: true,
    optionalDependencies: { "a-linux-x64-musl": "1.0.0", "a-win32-ia32-msvc": "1.0.0" },
  },
};
const platforms = {
  "node_modules/a-linux-x64-musl": {
    version: "1.0.0",
    cpu: ["x64"],
    libc: ["musl"],
    os: ["linux"],
    dev: true,
    optional: true,
  },
  "node_modules/a-win32-ia32-msvc": {
    version: "1.0.0",
    cpu: ["ia32"],
    os: ["win32"],
    dev: true,
    optional: true,
  },
};

const good = {
  "crates/worker-core/Cargo.toml": '[dependencies]\nmemchr = "2"\n\n[dev-dependencies]\ntokio = "1"\n',
  "crates/worker-core/clippy.toml": clippy,
  "crates/worker-core/src/lib.rs": "//! No unsafe here.\npub fn core() {}\n",
  "crates/worker-server/Cargo.toml": '[dependencies]\ntokio = { version = "1" }\n',
  "clippy.toml": "allow-unwrap-in-tests = true\n",
  "src/raw.rs": "// SAFETY: the environment is alive during the call.\nunsafe { call() }\n",
  "src/callbacks.rs": "pub struct Callback(ThreadsafeFunction<()>);\n",
  "src/errors.rs": "use napi::Error;\n",
  "lib/native.ts": 'import binding = require("../native/binding.js");\n',
  "index.d.ts": 'export { A, type T } from "./dist/a.js";\nexport type { B } from "./dist/b.js";\n',
  "package-lock.json": JSON.stringify({ packages: { "": {}, ...locked, ...platforms } }),
  "threads.d.ts": 'export { A } from "./dist/threads/a.js";\n',
  "registry.d.ts": 'export { A } from "./dist/threads/a.js";\n',
  "tasks.d.ts": 'export { A } from "./dist/tasks/a.js";\n',
  "tasks/browser.d.ts": 'export { A } from "../dist/tasks/a.js";\n',
  "tasks/server.d.ts": 'export { A } from "../dist/tasks/a.js";\n',
  "lib/tasks/browser/a.ts": 'import { b } from "../core/b.js";\nimport { Subject } from "rxjs";\n',
  "v2.d.ts": 'export { A } from "./dist/v2/a.js";\n',
  "__test__/a.test.ts": 'test("works", () => {});\n',
};

/** A project of made-up files; `null` takes one of the good ones away. */
function project(changes = {}, exported = { A: 1 }) {
  const files = new Map(Object.entries({ ...good, ...changes }).filter(([, text]) => text !== null));
  return {
    list: (...folders) =>
      [...files.keys()].filter((path) => folders.some((folder) => path.startsWith(`${folder}/`))),
    read: (path) => files.get(path),
    load: (path) => (path === "index.js" ? exported : { A: 1 }),
  };
}

for (const [name, rule] of Object.entries(rules)) {
  test(`${name} holds for a good project`, () => assert.deepEqual(rule(project()), []));
}

/** One row per way to break a rule: the rule, what is changed, and how many complaints it makes. */
const bad = [
  [
    "coreIsPure",
    { "crates/worker-core/Cargo.toml": '[dependencies]\ntokio = "1"\nnapi-derive.workspace = true\n' },
    2,
  ],
  ["coreIsPure", { "crates/worker-core/Cargo.toml": '[dependencies.hyper]\nversion = "1"\n' }, 1],
  [
    "coreIsPure",
    { "crates/worker-core/Cargo.toml": '[target."cfg(unix)".dependencies]\ntungstenite = "1"\n' },
    1,
  ],
  [
    "coreIsPure",
    { "crates/worker-core/Cargo.toml": '[dependencies]\nrt = { package = "tokio", version = "1" }\n' },
    1,
  ],
  ["coreIsPure", { "crates/worker-core/Cargo.toml": null }, 1],
  [
    "transportKnowsNoNode",
    { "crates/worker-server/Cargo.toml": '[build-dependencies]\nnapi-build = "2"\n' },
    1,
  ],
  ["coreReadsNoClock", { "crates/worker-core/clippy.toml": null }, 1],
  [
    "coreReadsNoClock",
    { "crates/worker-core/clippy.toml": clippy.replace('"std::time::Instant::now",', "") },
    1,
  ],
  ["coreReadsNoClock", { "crates/worker-core/clippy.toml": clippy.replace(/^allow.*\n/, "") }, 1],
  [
    "coreReadsNoClock",
    { "crates/worker-core/src/a.rs": "#[allow(clippy::disallowed_methods)]\nfn a() {}" },
    1,
  ],
  [
    "browserTasksNeedNoNode",
    { "lib/tasks/browser/a.ts": 'import { Worker } from "node:worker_threads";' },
    1,
  ],
  ["browserTasksNeedNoNode", { "lib/tasks/core/a.ts": 'import { n } from "../../native.js";' }, 1],
  ["browserTasksNeedNoNode", { "lib/tasks/core/a.ts": 'import "../../threads/native.js";' }, 1],
  ["threadsafeFunctionHasOneHome", { "src/lib.rs": "use napi::threadsafe_function::ThreadsafeFunction;" }, 1],
  ["napiErrorHasOneHome", { "src/lib.rs": "fn a() -> napi::Error {}\nuse napi::{Env, Error};" }, 2],
  ["napiErrorHasOneHome", { "src/lib.rs": 'fn a() { Error::from_reason("no") }' }, 1],
  ["unsafeHasFewHomes", { "src/lib.rs": "// SAFETY: it says so.\nunsafe { a() }" }, 1],
  ["unsafeHasFewHomes", { "crates/worker-core/src/a.rs": "unsafe fn a() {}" }, 1],
  ["unsafeSaysWhy", { "src/raw.rs": "unsafe { a() }" }, 1],
  ["unsafeSaysWhy", { "src/raw.rs": "// SAFETY: for the first one.\nunsafe { a() };\nunsafe { b() };" }, 1],
  ["oneModuleImportsTheBinding", { "lib/a.ts": 'import { a } from "../native/binding.js";' }, 1],
  ["oneModuleImportsTheBinding", { "index.js": 'require("./native/binding")' }, 1],
  ["exportsMatchTheirDeclarations", { "index.d.ts": 'export * from "./dist/a.js";' }, 1],
  ["exportsMatchTheirDeclarations", { "index.d.ts": 'export { A, B as C } from "./dist/a.js";' }, 1],
  ["exportsMatchTheirDeclarations", { "index.d.ts": 'export type { A } from "./dist/a.js";' }, 1],
  ["exportsMatchTheirDeclarations", { "v2.d.ts": 'export { A, C } from "./dist/v2/a.js";' }, 1],
  ["filesStaySmall", { "lib/a.ts": "\n".repeat(700) }, 1],
  ["filesStaySmall", { "src/a.rs": "\n".repeat(700) }, 1],
  ["nothingIsUnfinished", { "src/a.rs": "fn a() { todo!() }\nfn b() { unimplemented!() }" }, 2],
  ["nothingIsUnfinished", { "crates/worker-core/tests/a.rs": "#[ignore]\nfn a() {}" }, 1],
  ["nothingIsUnfinished", { "__test__/a.test.ts": 'test.skip("a", f);\ndescribe.each([]).only("b", f);' }, 1],
];

const cargoLock = (name, version) => `[[package]]\nname = "${name}"\nversion = "${version}"\n`;
const npmLock = (path, version) =>
  JSON.stringify({ packages: { ...locked, ...platforms, [path]: { version } } });
bad.push(
  ["locksHoldFixedVersions", { "Cargo.lock": cargoLock("bytes", "1.9.0") + cargoLock("slab", "0.4.10") }, 2],
  ["locksHoldFixedVersions", { "Cargo.lock": cargoLock("tokio", "1.44.1") }, 1],
  ["locksHoldFixedVersions", { "package-lock.json": npmLock("node_modules/ws", "8.20.1") }, 1],
  ["locksHoldFixedVersions", { "package-lock.json": npmLock("node_modules/a/node_modules/ws", "7.5.10") }, 1],
);
bad.push(["lockKnowsEveryPlatform", { "package-lock.json": JSON.stringify({ packages: locked }) }, 2]);

const byName = new Map(Object.entries(rules));
for (const [name, changes, complaints] of bad) {
  const rule = byName.get(name);
  test(`${name} fires on ${JSON.stringify(changes).slice(0, 70)}`, () => {
    assert.equal(rule(project(changes)).length, complaints);
  });
}

test("exportsMatchTheirDeclarations fires on an export that is undefined or not declared", () => {
  assert.equal(rules.exportsMatchTheirDeclarations(project({}, { A: undefined })).length, 1);
  assert.equal(rules.exportsMatchTheirDeclarations(project({}, { A: 1, Z: 1 })).length, 1);
});

test("locksHoldFixedVersions takes the fixed version and those after it", () => {
  const fixed = ["1.11.1", "1.12.0", "2.0.0"].map((version) => cargoLock("bytes", version)).join("\n");

  assert.deepEqual(rules.locksHoldFixedVersions(project({ "Cargo.lock": fixed })), []);
});

test("tests may be long, also at the end of a file", () => {
  const long = "\n".repeat(700);
  const changes = {
    "crates/worker-core/tests/a.rs": long,
    "src/a.rs": `fn a() {}\n#[cfg(test)]\nmod tests {${long}}`,
  };
  assert.deepEqual(rules.filesStaySmall(project(changes)), []);
});

test("an unsafe function's type needs no reason, and a reason may stand above attributes and the start of a statement", () => {
  const source = `unsafe extern "C" fn a(f: unsafe fn()) {}
// SAFETY: see b.
#[rustfmt::skip]
let b =
    unsafe { c() };
`;
  assert.deepEqual(rules.unsafeSaysWhy(project({ "src/raw.rs": source })), []);
});

test("a completed lock has what the names of the missing packages say", () => {
  assert.deepEqual(completed(locked), { ...locked, ...platforms });
});

test("comments and literals are not code", () => {
  const source = [
    "// unsafe",
    "/* unsafe /* nested */ unsafe */",
    String.raw`let a = "unsafe \" unsafe";`,
    'let b = r#"unsafe " unsafe"#; let c = b"unsafe";',
    String.raw`let d = ('"', '\'', b'\\', '\u{22}'); fn e<'a>(a: &'a str) -> &'a str { a }`,
    "unsafe_code(); unsafe {}",
  ].join("\n");
  const code = codeOf(source);
  assert.equal(code.length, source.length);
  assert.deepEqual(
    [...code.matchAll(/\bunsafe\b/g)].map(({ index }) => code.slice(0, index).split("\n").length),
    [6],
  );
});
