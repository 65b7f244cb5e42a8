import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

/*
 * The package as its users get it: the tarballs of the package and of this machine's platform package,
 * installed in an empty folder.
 */

const run = promisify(execFile);
const projectFolder = path.dirname(__dirname);
/** On Windows npm is a .cmd file, which only a shell starts. */
const shell = process.platform === "win32";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "worker-server-native-"));
  const tarballs = [await pack(projectFolder), await pack(await platformPackage())];
  // Their dependencies come from what is installed here, for the test has to work without a network.
  for (const dependency of await dependenciesOf(projectFolder)) tarballs.push(await pack(dependency));
  await writeFile(path.join(folder, "package.json"), '{ "private": true }');
  await npm(["install", "--offline", "--no-audit", "--no-fund", ...tarballs]);
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function npm(args: string[]): Promise<string> {
  // The settings of the npm that runs these tests are not those of a user.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { stdout } = await run("npm", args, { cwd: folder, env, shell });
  return stdout;
}

async function pack(packageFolder: string): Promise<string> {
  const [{ filename }] = JSON.parse(await npm(["pack", "--ignore-scripts", "--json", packageFolder]));
  return path.join(folder, filename);
}

/** The folders of what a package needs at run time, with what that needs in turn. */
async function dependenciesOf(packageFolder: string): Promise<Set<string>> {
  const { dependencies = {} } = JSON.parse(await readFile(path.join(packageFolder, "package.json"), "utf8"));
  const folders = new Set<string>();
  for (const name of Object.keys(dependencies)) {
    const dependency = path.join(projectFolder, "node_modules", name);
    folders.add(dependency);
    for (const further of await dependenciesOf(dependency)) folders.add(further);
  }
  return folders;
}

/** A copy of the platform package of this machine, with the add-on that was built here. */
async function platformPackage(): Promise<string> {
  const addon = (await readdir(path.join(projectFolder, "native"))).find((name) => name.endsWith(".node"));
  if (addon === undefined) throw new Error("the add-on is not built: npm run build");
  const [, platform = ""] = addon.split(".");
  const copy = path.join(folder, "platform-package");
  await mkdir(copy);
  await cp(path.join(projectFolder, "npm", platform), copy, { recursive: true });
  await cp(path.join(projectFolder, "native", addon), path.join(copy, addon));
  return copy;
}

/** Runs a program in the folder where the package is installed; returns what it printed. */
async function program(name: string, source: string): Promise<string> {
  await writeFile(path.join(folder, name), source);
  const env = { ...process.env };
  delete env["NAPI_RS_NATIVE_LIBRARY_PATH"];
  const { stdout } = await run(process.execPath, [name], { cwd: folder, env });
  return stdout.trim();
}

const listenAndStop = `
  const server = new WorkerServer({ port: 0 });
  server.start().then(async () => {
    const listening = server.port > 0;
    await server.stop();
    console.log(JSON.stringify({ listening, names: Object.keys(everything).sort() }));
  });
`;

const names = [
  "ConnectionHandler",
  "WorkerPool",
  "WorkerServer",
  "WorkerStatus",
  "safeCompare",
  "toWorkerInfo",
];

test("works with require", async () => {
  const output = await program(
    "user.cjs",
    `const everything = require("worker-server-native");
     const { WorkerServer } = everything;
     ${listenAndStop}`,
  );
  expect(JSON.parse(output)).toEqual({ listening: true, names });
});

test("works with import, and has the same objects as require", async () => {
  const output = await program(
    "user.mjs",
    `import { createRequire } from "node:module";
     import * as namespace from "worker-server-native";
     import { WorkerServer } from "worker-server-native";
     const required = createRequire(import.meta.url)("worker-server-native");
     const everything = Object.fromEntries(Object.keys(required).map((name) => [name, namespace[name]]));
     if (Object.keys(required).some((name) => required[name] !== namespace[name])) throw new Error("not the same");
     if (namespace.default !== required) throw new Error("default is not module.exports");
     ${listenAndStop}`,
  );
  expect(JSON.parse(output)).toEqual({ listening: true, names });
});

test("has the dispatch API under a path of its own", async () => {
  const output = await program(
    "v2.cjs",
    `const everything = require("worker-server-native/v2");
     const { WorkerServer } = everything;
     ${listenAndStop}`,
  );
  expect(JSON.parse(output)).toEqual({ listening: true, names: ["WorkerServer", "WorkerStatus"] });
});

test.each(["", ".js"])("has the deep paths of version 1.0.12%s", async (suffix) => {
  const output = await program(
    "deep.cjs",
    `const root = require("worker-server-native");
     const from = (path) => require("worker-server-native/dist/" + path + "${suffix}");
     const same = [
       from("ConnectionHandler").ConnectionHandler === root.ConnectionHandler,
       from("WorkerPool").WorkerPool === root.WorkerPool,
       from("WorkerPool").toWorkerInfo === root.toWorkerInfo,
       from("safeCompare").safeCompare === root.safeCompare,
       from("types").WorkerStatus === root.WorkerStatus,
     ];
     console.log(same.join());`,
  );
  expect(output).toBe("true,true,true,true,true");
});

test("tells its version, and nothing of its insides", async () => {
  const { version } = JSON.parse(await readFile(path.join(projectFolder, "package.json"), "utf8"));
  const output = await program(
    "insides.cjs",
    `console.log(require("worker-server-native/package.json").version);
     try { require("worker-server-native/native/binding.js") } catch (error) { console.log(error.code) }`,
  );
  expect(output.split("\n")).toEqual([version, "ERR_PACKAGE_PATH_NOT_EXPORTED"]);
});

test("brings what it needs and no sources, tests or maps", async () => {
  const installed = path.join(folder, "node_modules", "worker-server-native");
  const files = await filesBelow(installed);
  expect(files).toEqual(
    expect.arrayContaining([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "dist/worker-server.d.ts",
      "dist/worker-server.js",
      "index.d.ts",
      "index.js",
      "native/binding.js",
      "package.json",
      "registry.d.ts",
      "registry.js",
      "dist/tasks/browser.mjs",
      "tasks.d.ts",
      "tasks.js",
      "tasks/browser.d.mts",
      "threads.d.ts",
      "threads.js",
      "v2.d.ts",
      "v2.js",
    ]),
  );
  const wanted =
    /^(?:bin\/generate-worker\.js|dist\/.+\.(?:js|d\.ts)|native\/binding\.(?:js|d\.ts)|dist\/tasks\/browser\.mjs|(?:index|v2|threads|registry|tasks(?:\/\w+)?)\.(?:js|d\.m?ts)|package\.json|[A-Z]+(?:\.md)?)$/;
  expect(files.filter((file) => !wanted.test(file))).toEqual([]);
});

async function filesBelow(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(parent, path.join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
}
