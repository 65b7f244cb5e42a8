import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { buildSync } from "esbuild";
import { cpSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { Consumer } from "../support/consumer.js";
import { Site, openChromium, openPage } from "./chromium.js";

/* The quick start of the seed, in a user's project, by three bundlers without settings, run by a browser. */

jest.setTimeout(120_000);

let browser: Browser;
let consumer: Consumer;
const children: ChildProcess[] = [];

beforeAll(async () => {
  browser = await openChromium();
  consumer = new Consumer(["rxjs", "tslib", "vite", "webpack"]);
  for (const file of ["math-worker.js", "quick-start.js", "quick-start-vite.js"])
    cpSync(join(__dirname, "pages", file), join(consumer.folder, file));
});
afterAll(async () => {
  await browser.close();
  for (const child of children) child.kill();
  await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, "exit")));
  consumer.remove();
});

function html(script: string): string {
  return `<!doctype html><title>test</title><script type="module" src="${script}"></script>`;
}

/** Runs the page; its results are those of the quick start. */
async function check(url: string): Promise<void> {
  const { page, errors } = await openPage(browser, url);
  await page.waitForFunction("globalThis.results");
  expect(await page.evaluate("globalThis.results")).toEqual([6765, 30]);
  expect(errors).toEqual([]);
  await page.close({ runBeforeUnload: true });
}

async function checkFolder(folder: string): Promise<void> {
  const site = await new Site(folder).open();
  try {
    await check(site.url);
  } finally {
    await site.close();
  }
}

test("esbuild", async () => {
  const outdir = join(consumer.folder, "out-esbuild");
  buildSync({
    absWorkingDir: consumer.folder,
    entryPoints: ["quick-start.js", "math-worker.js"],
    outdir,
    bundle: true,
    format: "esm",
  });
  consumer.write("out-esbuild/index.html", html("./quick-start.js"));
  await checkFolder(outdir);
});

test("webpack", async () => {
  consumer.write(
    "build.cjs",
    `require("webpack")({
       mode: "production", entry: "./quick-start.js", output: { path: __dirname + "/out-webpack", publicPath: "" },
     }, (error, stats) => {
       if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exitCode = 1; }
     });`,
  );
  expect(await consumer.run("build.cjs")).toEqual({ code: 0, output: "" });
  consumer.write("out-webpack/index.html", html("./main.js"));
  await checkFolder(join(consumer.folder, "out-webpack"));
});

test.each(["quick-start.js", "quick-start-vite.js"])("Vite, built: %s", async (entry) => {
  consumer.write("index.html", html(`./${entry}`));
  const outcome = await consumer.runTool("vite", ["build", "--outDir", `out-${entry}`, "--logLevel", "warn"]);
  expect(outcome).toEqual({ code: 0, output: "" });
  await checkFolder(join(consumer.folder, `out-${entry}`));
});

test.each(["quick-start.js", "quick-start-vite.js"])("Vite's development server: %s", async (entry) => {
  consumer.write("index.html", html(`./${entry}`));
  const bin = join(dirname(require.resolve("vite/package.json")), "bin/vite.js");
  const child = spawn(process.execPath, [bin, "--host", "127.0.0.1", "--port", "0"], {
    cwd: consumer.folder,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  children.push(child);
  let url: string | undefined;
  for await (const line of createInterface(child.stdout!)) {
    url = /http:\/\/127\.0\.0\.1:\d+\//.exec(line)?.[0];
    if (url !== undefined) break;
  }
  await check(url!);
});

test("the module for browsers is small, and names nothing of Node", () => {
  const file = require.resolve("../../dist/tasks/browser.mjs");
  expect(readFileSync(file, "utf8")).not.toMatch(/node:|require\(|\.node\b/);
  const { outputFiles } = buildSync({
    entryPoints: [file],
    bundle: true,
    minify: true,
    format: "esm",
    external: ["rxjs"],
    write: false,
  });
  expect(gzipSync(outputFiles[0]!.contents).length).toBeLessThanOrEqual(6 * 1024);
});
