import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import type { Browser } from "playwright-core";
import { Consumer } from "../support/consumer.js";
import { Site, openChromium, openPage } from "./chromium.js";

/* The command in a user's project, and the files that it writes, run as they are. */

jest.setTimeout(60_000);

const BIN = require.resolve("../../bin/generate-worker.js");

let consumer: Consumer;
let browser: Browser;

beforeAll(async () => {
  browser = await openChromium();
});
afterAll(() => browser.close());
beforeEach(() => {
  consumer = new Consumer(["rxjs", "tslib"], "worker-server-native");
});
afterEach(() => {
  consumer.remove();
});

const generate = (...args: string[]): Promise<{ code: number; output: string }> => consumer.run(BIN, args);
const text = (file: string): string => readFileSync(join(consumer.folder, file), "utf8");

const OUTPUT = {
  math: "add: 30\nsqrt: 4\ndivide: failed: Division by zero is not allowed\n",
  data: `validate: { valid: false, errors: [ 'Missing field: email' ] }
filter: [ { kind: 'a' } ]
fetch: { data: 'Data from https://example.com/items' }
`,
  image: `resize: { image: 'photo.jpg', width: 800, height: 600, resized: true }
analyze: {
  image: 'photo.jpg',
  format: 'jpeg',
  colors: [ 'red', 'green', 'blue' ]
}
`,
};

/** Lines come in the order in which tasks end. */
const sorted = (lines: string): string[] =>
  lines
    .trimEnd()
    .split(/\n(?=\w)/)
    .sort();

test.each([
  ["math-worker", "math", [], ".js"],
  ["data-math", "math", [], ".js"],
  ["whatever", "math", [], ".js"],
  ["My-API", "data", [], ".js"],
  ["img", "image", ["--esm"], ".mjs"],
  ["calc", "math", ["--esm"], ".mjs"],
] as const)("a server worker runs as generated: %s (%s) %p", async (name, kind, options, suffix) => {
  const { code, output } = await generate(name, "./workers", "server", ...options);
  expect(code).toBe(0);
  expect(output).toMatch(
    /^Created directory: .\/workers\nGenerating \w+ \w+ worker \(\S+\) for server...\nTasks: /,
  );
  const outcome = await consumer.run(`workers/${name}-example${suffix}`);
  expect(outcome.code).toBe(0);
  expect(sorted(outcome.output)).toEqual(sorted(OUTPUT[kind]));
});

test.each([
  [["--ts"], "cts", "cjs"],
  [["--ts", "--esm"], "mts", "mjs"],
] as const)(
  "a server worker in TypeScript compiles strictly and runs: %p",
  async (options, suffix, compiled) => {
    await generate("math-worker", "workers", "server", ...options);
    const files = [`workers/math-worker.${suffix}`, `workers/math-worker-example.${suffix}`];
    const settings = {
      module: "node20",
      target: "es2022",
      strict: true,
      types: ["node"],
      skipLibCheck: true,
    };
    consumer.write("tsconfig.json", JSON.stringify({ compilerOptions: settings, files }));
    expect(await consumer.runTool("typescript", ["--project", "tsconfig.json"])).toEqual({
      code: 0,
      output: "",
    });
    const outcome = await consumer.run(`workers/math-worker-example.${compiled}`);
    expect(sorted(outcome.output)).toEqual(sorted(OUTPUT.math));
  },
);

test.each([
  ["math-worker", [], ".js"],
  ["image-worker", ["--esm"], ".js"],
  ["data-worker", ["--ts"], ".ts"],
  ["calc", ["--ts", "--esm"], ".ts"],
] as const)("a browser worker runs as generated: %s %p", async (name, options, suffix) => {
  expect(await generate(name, "pages", ...["browser", ...options])).toMatchObject({ code: 0 });
  const outdir = join(consumer.folder, "pages");
  buildSync({
    absWorkingDir: outdir,
    entryPoints: [`${name}-example${suffix}`, `${name}${suffix}`],
    outdir: join(outdir, "built"),
    bundle: true,
    format: "esm",
    outExtension: { ".js": suffix },
  });
  const site = await new Site(join(outdir, "built")).open();
  try {
    const script = readFileSync(join(outdir, "built", `${name}${suffix}`));
    site.paths
      .set("/", { body: '<!doctype html><title>test</title><link rel="icon" href="data:," />' })
      .set(`/${name}${suffix}`, { body: script, type: "text/javascript" });
    const { page, errors } = await openPage(browser, site.url);
    const lines: string[] = [];
    const ended = new Promise<void>((resolve) => {
      page.on("console", (line) => {
        lines.push(line.text().split(":")[0]!);
        if (lines.length === (name.startsWith("image") ? 2 : 3)) resolve();
      });
    });
    const example = readFileSync(join(outdir, "built", `${name}-example${suffix}`), "utf8");
    site.paths.set("/example.js", { body: example });
    await page.addScriptTag({ url: "/example.js", type: "module" });
    await ended;
    const tasks: Record<string, string[]> = {
      image: ["analyze", "resize"],
      data: ["fetch", "filter", "validate"],
    };
    expect(lines.sort()).toEqual(tasks[name.split("-")[0]!] ?? ["add", "divide", "sqrt"]);
    expect(errors).toEqual([]);
    await page.close();
  } finally {
    await site.close();
  }
});

test("generated files are formatted as Prettier does by default", async () => {
  for (const name of ["math-worker", "data-worker", "image-worker"])
    for (const type of ["browser", "server"])
      for (const options of [[], ["--esm"], ["--ts"], ["--esm", "--ts"]])
        await generate(name, "out", type, "--force", ...options);
  const { code, output } = await consumer.runTool("prettier", ["--check", "out"]);
  expect(output).toContain("All matched files use Prettier code style!");
  expect(code).toBe(0);
});

test("files that are there stay, unless --force is given", async () => {
  await generate("math-worker");
  consumer.write("workers/math-worker.js", "mine");
  const refused = await generate("math-worker");
  expect(refused).toEqual({
    code: 1,
    output: "workers/math-worker.js is there already (--force overwrites it)\n",
  });
  expect(text("workers/math-worker.js")).toBe("mine");
  expect(await generate("math-worker", "--force")).toMatchObject({ code: 0 });
  expect(text("workers/math-worker.js")).toContain("Mathematical operations worker");
});

test("mistakes on the command line", async () => {
  const usage = await generate();
  expect(usage.code).toBe(1);
  expect(usage.output.trim().split("\n")).toHaveLength(3);
  expect(usage.output).toMatch(/^Usage: generate-worker <name>/);
  expect(await generate("a", "b", "c")).toEqual({
    code: 1,
    output: 'Worker type must be "browser" or "server"\n',
  });
  expect(await generate("../a")).toMatchObject({ code: 1 });
  expect(await generate("a", "b", "server", "d")).toMatchObject({ code: 1 });
  expect(await generate("a", "--what")).toMatchObject({ code: 1 });
  expect(existsSync(join(consumer.folder, "b"))).toBe(false);
  expect(await generate("--help")).toMatchObject({ code: 0, output: expect.stringContaining("--force") });
});
