import { buildSync } from "esbuild";
import { join } from "node:path";
import { Consumer } from "./support/consumer";

/* Projects of users, outside this repository, that knew the original and now have this package under its name. */

// Each of these starts a tool of its own, on a machine that may be busy.
jest.setTimeout(120_000);

let consumer: Consumer;

beforeAll(() => {
  consumer = new Consumer(["vitest", "rxjs", "tslib"]);
});
afterAll(() => consumer.remove());

const greeting = { code: 0, output: '{"isListening":true,"status":"busy"}\n' };

test.each(["entry.cjs", "entry.mjs"])("a program runs: %s", async (entry) => {
  consumer.add(entry);
  expect(await consumer.run(entry)).toStrictEqual(greeting);
});

test.each([
  ["entry.cjs", "cjs"],
  ["entry.mjs", "esm"],
] as const)("a bundle by esbuild runs, with the package external: %s", async (entry, format) => {
  consumer.add(entry);
  const bundle = `bundle.${format === "esm" ? "mjs" : "cjs"}`;
  buildSync({
    entryPoints: [join(consumer.folder, entry)],
    outfile: join(consumer.folder, bundle),
    bundle: true,
    platform: "node",
    format,
    external: ["@hardlydifficult/worker-server"],
  });
  expect(await consumer.run(bundle)).toStrictEqual(greeting);
});

test("its tests run with jest", async () => {
  consumer.add("jest.test.js");
  const { code, output } = await consumer.runTool("jest", [
    "--rootDir",
    ".",
    "--testMatch",
    "**/jest.test.js",
  ]);
  expect(output).toContain("4 passed, 4 total");
  // It says so when something of ours keeps it from ending.
  expect(output).not.toContain("did not exit");
  expect(code).toBe(0);
});

test("its tests run with vitest, in threads", async () => {
  consumer.add("vitest.test.mjs");
  const { code, output } = await consumer.runTool("vitest", [
    "run",
    "vitest.test.mjs",
    "--pool=threads",
    "--no-color",
  ]);
  expect(output).toMatch(/Tests +3 passed \(3\)/);
  expect(output).not.toContain("close timed out");
  expect(code).toBe(0);
});

test("its tests of threads run with vitest, in threads", async () => {
  consumer.add("threads.vitest.test.mjs");
  const { code, output } = await consumer.runTool("vitest", [
    "run",
    "threads.vitest.test.mjs",
    "--pool=threads",
    "--no-color",
  ]);
  expect(output).toMatch(/Tests +2 passed \(2\)/);
  expect(output).not.toContain("close timed out");
  expect(code).toBe(0);
});

test("its tests of tasks run with vitest, in threads", async () => {
  consumer.add("tasks.vitest.test.mjs");
  consumer.add("tasks-worker.mjs");
  const { code, output } = await consumer.runTool("vitest", [
    "run",
    "tasks.vitest.test.mjs",
    "--pool=threads",
    "--no-color",
  ]);
  expect(output).toMatch(/Tests +2 passed \(2\)/);
  expect(output).not.toContain("close timed out");
  expect(code).toBe(0);
});

test("its tests of a registry run with vitest, in threads", async () => {
  consumer.add("registry.vitest.test.mjs");
  const { code, output } = await consumer.runTool("vitest", [
    "run",
    "registry.vitest.test.mjs",
    "--pool=threads",
    "--no-color",
  ]);
  expect(output).toMatch(/Tests +2 passed \(2\)/);
  expect(output).not.toContain("close timed out");
  expect(code).toBe(0);
});

const strict = { strict: true, skipLibCheck: false, noEmit: true, target: "es2022", lib: ["es2022"] };

test.each([
  ["node16", { module: "node16" }, ["program.cts", "program.mts", "program.ts"]],
  ["nodenext", { module: "nodenext" }, ["program.cts", "program.mts", "program.ts"]],
  ["bundler", { module: "esnext", moduleResolution: "bundler" }, ["program.mts", "program.ts"]],
  ["commonjs", { module: "commonjs", moduleResolution: "bundler" }, ["program.cts", "program.ts"]],
])("its types are right in strict mode, those of libraries too: %s", async (name, settings, files) => {
  for (const file of files) consumer.add("program.ts", file);
  const threads = files.map((file) => file.replace("program", "threads"));
  for (const file of threads) consumer.add("threads.ts", file);
  const tasks = files.map((file) => file.replace("program", "tasks"));
  for (const file of tasks) consumer.add("tasks.ts", file);
  const registry = files.map((file) => file.replace("program", "registry"));
  for (const file of registry) consumer.add("registry.ts", file);
  const options = { ...strict, ...settings, exactOptionalPropertyTypes: true };
  const outcome = await compile(name, options, [...files, ...threads, ...tasks, ...registry]);
  expect(outcome).toStrictEqual({ code: 0, output: "" });
});

test("its types are right where nothing is strict", async () => {
  consumer.add("program.ts");
  const settings = { ...strict, strict: false, module: "commonjs", moduleResolution: "bundler" };
  expect(await compile("loose", settings, ["program.ts"])).toStrictEqual({ code: 0, output: "" });
});

test("its JavaScript is checked", async () => {
  consumer.add("checked.js");
  const settings = { ...strict, module: "node16", allowJs: true, checkJs: true, types: ["node"] };
  expect(await compile("checked", settings, ["checked.js"])).toStrictEqual({ code: 0, output: "" });
});

function compile(
  name: string,
  compilerOptions: object,
  files: string[],
): Promise<{ code: number; output: string }> {
  const project = `tsconfig.${name}.json`;
  consumer.write(project, JSON.stringify({ compilerOptions, files }));
  return consumer.runTool("typescript", ["--project", project]);
}
