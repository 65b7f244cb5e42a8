import { cpSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import type { Browser } from "playwright-core";
import { Consumer } from "../support/consumer.js";
import { Site, openChromium, openPage } from "./chromium.js";

/* examples/tasks, in a project of its own. */

jest.setTimeout(60_000);

let consumer: Consumer;
let browser: Browser;

beforeAll(async () => {
  browser = await openChromium();
  consumer = new Consumer(["rxjs", "tslib", "react", "react-dom", "scheduler"], "worker-server-native");
  cpSync(join(__dirname, "../../examples/tasks"), join(consumer.folder, "tasks"), { recursive: true });
});
afterAll(async () => {
  await browser.close();
  consumer.remove();
});

test("the program for Node", async () => {
  expect(await consumer.run("tasks/node/main.mjs")).toEqual({
    code: 0,
    output: `4 primes below 10
168 primes below 1000
9592 primes below 100000
TASK_FAILED: limit must be above 0
failed: 1
`,
  });
});

test.each([
  ["browser", ["fibonacci(10) is 55", "fibonacci(20) is 6765", "fibonacci(30) is 832040"]],
  ["react", ["fibonacci(20) is 6765"]],
])("the page: %s", async (name, lines) => {
  buildSync({
    absWorkingDir: join(consumer.folder, "tasks"),
    entryPoints: [`${name}/main.js`, "browser/worker.js"],
    outdir: "built",
    outbase: ".",
    bundle: true,
    format: "esm",
    define: { "process.env.NODE_ENV": '"development"' },
  });
  const folder = join(consumer.folder, "tasks/built");
  cpSync(join(consumer.folder, "tasks", name, "index.html"), join(folder, name, "index.html"));
  const site = await new Site(folder).open();
  try {
    const { page, errors } = await openPage(browser, `${site.url}/${name}/index.html`);
    await page.waitForFunction(
      `[...document.querySelectorAll("li")].filter((item) => !item.textContent.endsWith("…")).length === ${lines.length}`,
    );
    const texts = await page.locator("li").allTextContents();
    expect(texts.sort()).toEqual(lines);
    expect(errors).toEqual([]);
    await page.close();
  } finally {
    await site.close();
  }
});
