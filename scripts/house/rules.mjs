import { missingPlatforms } from "../lib/lock.mjs";
import { belowCargoFloors, belowNpmFloors } from "./floors.mjs";
import { codeOf } from "./rust-code.mjs";

/*
 * The rules of the house (docs/architecture.md says why). Each takes the project's files
 * (project-files.mjs) and returns its complaints, one text each; none means that it holds.
 */

const core = "crates/worker-core";
const transport = "crates/worker-server";
const clockReads = [
  "std::time::Instant::now",
  "std::time::Instant::elapsed",
  "std::time::SystemTime::now",
  "std::time::SystemTime::elapsed",
];
const unsafeHomes = ["src/raw.rs", "src/raw/", "src/callbacks.rs", "src/memory.rs"];
/** The package's entries, each a table of contents. */
const faces = ["index", "v2", "threads", "registry", "tasks", "tasks/browser", "tasks/server"];
const mostLines = 600;

export function coreIsPure(project) {
  return forbiddenDependencies(
    project,
    `${core}/Cargo.toml`,
    /^(?:tokio|napi|hyper|tungstenite|mio|socket2|ws)(?:-|$)|-tungstenite$/,
  );
}

export function transportKnowsNoNode(project) {
  return forbiddenDependencies(project, `${transport}/Cargo.toml`, /^napi(?:-|$)/);
}

/** Clippy does the looking; this makes sure that it is told to, for clippy reads the nearest clippy.toml only. */
export function coreReadsNoClock(project) {
  const path = `${core}/clippy.toml`;
  const config = project.read(path);
  if (config === undefined) return [`${path} is missing: it has to disallow ${clockReads.join(", ")}`];
  const banned = /^disallowed-methods\s*=\s*\[(.*?)^\]/ms.exec(config)?.[1] ?? "";
  const open = clockReads.filter((method) => !banned.includes(`"${method}"`));
  const repeated = (project.read("clippy.toml") ?? "")
    .split("\n")
    .filter((line) => line.startsWith("allow-"));
  const silenced = rustFiles(project, core).filter((file) =>
    file.code.includes("clippy::disallowed_methods"),
  );
  return [
    ...open.map((method) => `${path}: disallowed-methods lacks "${method}"`),
    ...repeated
      .filter((line) => !config.split("\n").includes(line))
      .map((line) => `${path}: lacks "${line}" of the root's clippy.toml, which it replaces`),
    ...silenced.map(({ path: silent }) => `${silent}: the core may not allow clippy::disallowed_methods`),
  ];
}

/** No lock file holds a version with a known hole (floors.mjs). */
export function locksHoldFixedVersions(project) {
  const locks = { "Cargo.lock": belowCargoFloors, "package-lock.json": belowNpmFloors };
  return Object.entries(locks).flatMap(([path, below]) => {
    const lock = project.read(path);
    return lock === undefined ? [] : below(lock).map((complaint) => `${path}: ${complaint}`);
  });
}

export function threadsafeFunctionHasOneHome(project) {
  return onlyIn(
    project,
    ["src/callbacks.rs"],
    /ThreadsafeFunction|threadsafe_function/,
    "the thread-safe function",
  );
}

export function napiErrorHasOneHome(project) {
  const error =
    /\bnapi::(?:bindgen_prelude::)?(?:Error\b|\{[^}]*\bError\b)|\bError::from_(?:reason|status)\b/;
  return onlyIn(project, ["src/errors.rs"], error, "napi::Error");
}

export function unsafeHasFewHomes(project) {
  return onlyIn(project, unsafeHomes, /\bunsafe\b/, "unsafe code");
}

/** Functions that are unsafe to call say so in their type; blocks, implementations and attributes have to give a reason. */
export function unsafeSaysWhy(project) {
  return rustFiles(project, "src", "crates").flatMap(({ path, code, source }) => {
    const lines = source.split("\n");
    return linesWith(code, /\bunsafe\s*(?:\{|\(|impl\b)/)
      .filter((line) => !hasReason(lines, line - 1))
      .map((line) => `${path}:${line}: unsafe without a SAFETY comment above it`);
  });
}

export function oneModuleImportsTheBinding(project) {
  const importing = /(?:import\b|require\s*\()[^;]*["'][^"']*native\/binding(?:\.js)?["']/;
  return [
    ...faces.flatMap((face) => [`${face}.js`, `${face}.d.ts`]),
    ...project.list("lib", "examples", "bench"),
  ]
    .filter((path) => path !== "lib/native.ts" && importing.test(project.read(path) ?? ""))
    .map((path) => `${path}: only lib/native.ts imports the binding`);
}

/** What runs in browsers finds neither the add-on nor Node's modules. */
export function browserTasksNeedNoNode(project) {
  const forbidden =
    /(?:\bfrom|\bimport|require\s*\()\s*\(?\s*["'](?:node:[^"']*|[^"']*\/(?:native|server|threads)(?:[./][^"']*)?)["']/;
  return project
    .list("lib/tasks/core", "lib/tasks/browser")
    .flatMap((path) =>
      linesWith(project.read(path), forbidden).map(
        (line) => `${path}:${line}: browsers have neither node: modules nor the add-on`,
      ),
    );
}

export function exportsMatchTheirDeclarations(project) {
  return faces.flatMap((face) => exportsMatch(project, `${face}.js`, `${face}.d.ts`));
}

function exportsMatch(project, code, types) {
  const declarations = project.read(types) ?? "";
  if (/export\s*\*/.test(declarations)) return [`${types}: name every export instead of \`export *\``];
  const declared = declaredValues(declarations);
  let exported;
  try {
    exported = project.load(code);
  } catch (error) {
    return [`${code} does not load (is it built? \`npm run build\`): ${error.message.split("\n")[0]}`];
  }
  const names = Object.keys(exported);
  return [
    ...declared
      .filter((name) => exported[name] === undefined)
      .map((name) => `${code}: does not export ${name}`),
    ...names.filter((name) => !declared.includes(name)).map((name) => `${types}: does not declare ${name}`),
  ];
}

export function filesStaySmall(project) {
  const scripts = project
    .list("lib", "scripts", "examples")
    .map((path) => ({ path, source: project.read(path) }));
  return [...rustFiles(project, "src", "crates"), ...scripts]
    .filter(({ path }) => !/(?:^|\/)tests(?:\/|\.rs$)|\.test\.m?[jt]s$/.test(path))
    .map(({ path, source }) => ({ path, lines: source.split(/^#\[cfg\(test\)\]/m)[0].split("\n").length }))
    .filter(({ lines }) => lines > mostLines)
    .map(({ path, lines }) => `${path}: ${lines} lines, and ${mostLines} are enough for one file`);
}

export function nothingIsUnfinished(project) {
  const rust = rustFiles(project, "src", "crates").flatMap(({ path, code }) =>
    linesWith(code, /\b(?:todo|unimplemented)!|#\[ignore\b/).map(
      (line) => `${path}:${line}: unfinished or ignored`,
    ),
  );
  const skipped =
    /\b(?:describe|it|test)(?:\.\w+)*\.(?:skip|only|todo|failing)\b|\b(?:xit|xtest|xdescribe|fit|fdescribe)\(/;
  const tests = project
    .list("__test__")
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) =>
      linesWith(project.read(path), skipped).map((line) => `${path}:${line}: a test is left out`),
    );
  return [...rust, ...tests];
}

/** A lock without them installs nowhere: `npm ci` refuses it. */
export function lockKnowsEveryPlatform(project) {
  const { packages } = JSON.parse(project.read("package-lock.json"));
  return missingPlatforms(packages).map(
    ([name]) => `package-lock.json: lacks ${name} (\`npm run lock\` adds it)`,
  );
}

function forbiddenDependencies(project, path, pattern) {
  const manifest = project.read(path);
  if (manifest === undefined) return [`${path} is missing`];
  return dependenciesOf(manifest)
    .filter((name) => pattern.test(name))
    .map((name) => `${path}: may not depend on ${name}`);
}

/** The names in the tables of run-time and build dependencies, the real one where a crate is renamed. Tests may use what they like. */
function dependenciesOf(manifest) {
  let inDependencies = false;
  const names = [];
  for (const line of manifest.split("\n")) {
    const table = /^\[(.+)\]/.exec(line)?.[1];
    if (table !== undefined) {
      inDependencies = /(?:^|\.)(?:build-)?dependencies$/.test(table);
      const single = /(?:^|\.)(?:build-)?dependencies\.([\w-]+)$/.exec(table)?.[1];
      if (single) names.push(single);
    } else if (inDependencies) {
      const name =
        /package\s*=\s*"([\w-]+)"/.exec(line)?.[1] ?? /^\s*"?([\w-]+)"?\s*(?:[=.])/.exec(line)?.[1];
      if (name) names.push(name);
    }
  }
  return names;
}

function onlyIn(project, homes, pattern, what) {
  return rustFiles(project, "src", "crates")
    .filter(({ path }) => !homes.some((home) => (home.endsWith("/") ? path.startsWith(home) : path === home)))
    .flatMap(({ path, code }) =>
      linesWith(code, pattern).map((line) => `${path}:${line}: ${what} belongs in ${homes.join(" or ")}`),
    );
}

function rustFiles(project, ...folders) {
  return project
    .list(...folders)
    .filter((path) => path.endsWith(".rs"))
    .map((path) => ({ path, source: project.read(path), code: codeOf(project.read(path)) }));
}

/** The numbers of the lines on which a match begins. */
function linesWith(text, pattern) {
  const starts = [...text.matchAll(new RegExp(pattern, "g"))].map(
    ({ index }) => text.slice(0, index).split("\n").length,
  );
  return [...new Set(starts)];
}

/** A reason stands on the line itself, or in the comment above the statement or item that the line belongs to. */
function hasReason(lines, index) {
  const reason = /SAFETY:|# Safety/;
  if (reason.test(lines[index])) return true;
  for (let above = index - 1; above >= 0; above--) {
    const line = lines[above].trim();
    const isComment = line.startsWith("//");
    if (isComment && reason.test(line)) return true;
    // A statement or item ends above: what stands there is about something else.
    if (!isComment && !line.startsWith("#[") && /^$|[;{}]$/.test(line)) return false;
  }
  return false;
}

function declaredValues(declarations) {
  const lists = [...declarations.matchAll(/export\s+(type\s+)?\{([^}]*)\}/g)].filter(
    ([, typeOnly]) => !typeOnly,
  );
  return lists
    .flatMap(([, , names]) => names.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "" && !name.startsWith("type "))
    .map((name) => name.split(/\s+as\s+/).at(-1));
}
