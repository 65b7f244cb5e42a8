import { buildSync } from "esbuild";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { Site, longestTaskOf, openChromium, openPage } from "./chromium.js";

/* The module for browsers in a page, without a bundler. */

jest.setTimeout(60_000);

let browser: Browser;
let site: Site;
let stranger: Site;

const worker = readFileSync(join(__dirname, "pages/math-worker.js"));

beforeAll(async () => {
  browser = await openChromium();
  site = await new Site().open();
  stranger = await new Site().open();
  const rxjs = buildSync({
    stdin: { contents: 'export * from "rxjs";', resolveDir: __dirname },
    bundle: true,
    format: "esm",
    write: false,
  }).outputFiles[0]!.text;
  const page = `<!doctype html><title>test</title>
    <script type="importmap">{ "imports": { "rxjs": "/rxjs.mjs" } }</script>
    <script type="module">
      import * as tasks from "/tasks.mjs";
      globalThis.tasks = tasks;
    </script>`;
  site.paths
    .set("/rxjs.mjs", { body: rxjs })
    .set("/tasks.mjs", { body: readFileSync(require.resolve("../../dist/tasks/browser.mjs")) })
    .set("/", { body: page })
    .set("/strict", {
      body: page,
      headers: { "content-security-policy": "worker-src 'none'" },
    })
    .set("/workers/math-worker.js", { body: worker })
    .set("/workers/module-worker.js", { body: `import "./math-worker.js";\nexport {};` })
    .set("/workers/broken.js", { body: "throw new Error('broken on purpose');" });
  stranger.paths.set("/math-worker.js", { body: worker });
});
afterAll(async () => {
  await browser.close();
  await site.close();
  await stranger.close();
});

async function openTasks(path = "/"): Promise<{ page: Page; errors: string[] }> {
  const opened = await openPage(browser, site.url + path);
  await opened.page.waitForFunction("globalThis.tasks");
  return opened;
}

/** Runs a function's text in a page that has `tasks`, and checks that no error was left. */
async function inPage<T>(script: string, path?: string): Promise<T> {
  const { page, errors } = await openTasks(path);
  const result = await page.evaluate<T>(`(async () => {
    const { BrowserWorkerManager, TaskManager } = tasks;
    const manager = new TaskManager();
    const start = (...configs) => new BrowserWorkerManager({ manager, configs });
    const respond = (name, params, options) => new Promise((resolve) => {
      manager.addTask({ name, params, ...options, onSuccess: resolve, onError: resolve });
    });
    const reached = (worker, status) => new Promise((resolve) => {
      const look = () => { if (worker.status === status) resolve(); };
      look();
      manager.events$.subscribe(look);
    });
    ${script}
  })()`);
  expect(errors).toEqual([]);
  await page.close();
  return result;
}

const math = `{ tasks: ["add", "multiply", "divide", "fibonacci", "echo", "spin", "throw"], script: "/workers/math-worker.js" }`;

test("the quick start", async () => {
  const result = await inPage(`
    start({ tasks: ["add", "multiply", "fibonacci"], script: "/workers/math-worker.js" },
          { tasks: ["fetch", "transform", "validate"], script: "/workers/math-worker.js" });
    return new Promise((resolve) => {
      const seen = [];
      const onSuccess = (result) => { if (seen.push(result.content) === 2) resolve(seen); };
      manager.addTask({ name: "fibonacci", params: { n: 20 }, onSuccess, onError: onSuccess });
      manager.addTask({ name: "add", params: { a: 10, b: 20 }, onSuccess });
    });`);
  expect(result).toEqual([6765, 30]);
});

test.each([
  ["classic", `type: "classic", name: "mine", script: "/workers/math-worker.js"`],
  ["module", `type: "module", script: "/workers/module-worker.js"`],
  ["URL", `script: new URL("/workers/math-worker.js", location.href)`],
  ["create", `create: () => new Worker("/workers/math-worker.js")`],
])("a worker by %s", async (_, config) => {
  expect(
    await inPage(
      `start({ tasks: ["add"], ${config} }); return manager.run({ name: "add", params: { a: 1, b: 2 } });`,
    ),
  ).toBe(3);
});

test("errors of tasks", async () => {
  const { failure, status, uncloneable } = await inPage<any>(`
    start(${math});
    const failure = await respond("divide", { a: 10, b: 0 });
    const uncloneable = await respond("echo", () => {});
    return { failure, status: manager.status(), uncloneable };`);
  expect(failure.error).toBe("Division by zero is not allowed");
  expect(uncloneable.error).toContain("could not be cloned");
  expect(status.failed).toEqual([failure.taskId, uncloneable.taskId]);
});

test.each([
  ["a missing script", `"/workers/missing.js"`],
  ["a broken script", `"/workers/broken.js"`],
])("%s closes its worker", async (_, script) => {
  const result = await inPage<any>(`
    const [worker] = start({ tasks: ["add"], script: ${script} }).workers;
    await reached(worker, "closed");
    return { error: worker.error, script: worker.script, status: worker.status };`);
  expect(result.error).toBe(`Failed to load worker script: ${result.script}`);
});

test("a script that throws later fails its task and is started again", async () => {
  const result = await inPage<any>(`
    start({ ...${math}, restart: { delay: 1 } });
    const { error } = await respond("throw");
    return { error, sum: await manager.run({ name: "add", params: { a: 1, b: 2 } }) };`);
  expect(result).toEqual({ error: expect.stringContaining("thrown on purpose"), sum: 3 });
});

test("a script of another origin is refused with the rule", async () => {
  const script = `${stranger.url}/math-worker.js`;
  const result = await inPage<any>(`
    const [worker] = start({ tasks: ["add"], script: "${script}" }).workers;
    return { error: worker.error, status: worker.status };`);
  expect(result.status).toBe("closed");
  expect(result.error).toContain("same-origin policy");
});

test("a page whose policy allows no workers", async () => {
  const result = await inPage<any>(
    `
    const [worker] = start({ tasks: ["add"], script: "/workers/math-worker.js" }).workers;
    await reached(worker, "closed");
    return worker.error;`,
    "/strict",
  );
  expect(result).toMatch(/^Failed to load worker script: \/workers\/math-worker.js/);
});

test("timeouts, signals and transfer", async () => {
  const result = await inPage<any>(`
    start(${math});
    const late = await respond("spin", null, { timeout: 50 });
    const controller = new AbortController();
    const aborted = respond("spin", null, { signal: controller.signal });
    await reached({ get status() { return manager.status().working.length; } }, 1);
    controller.abort();
    const buffer = new ArrayBuffer(8);
    const { byteLength } = await manager.run({ name: "echo", params: buffer, transfer: [buffer] });
    return { late: late.error, aborted: (await aborted).error, left: buffer.byteLength, byteLength };`);
  expect(result).toEqual({
    late: expect.stringContaining("timed out after 50 ms"),
    aborted: expect.stringContaining("was aborted"),
    left: 0,
    byteLength: 8,
  });
});

test("the cleanup before the page goes ends its workers", async () => {
  const { page, errors } = await openTasks();
  await page.evaluate(`(async () => {
    const { BrowserWorkerManager, TaskManager } = tasks;
    const taskManager = new TaskManager();
    const workerManager = new BrowserWorkerManager({ manager: taskManager, configs: [${math}] });
    window.addEventListener("beforeunload", () => {
      workerManager.close();
      taskManager.close();
      localStorage.setItem("left", workerManager.workers.length);
    });
    taskManager.addTask({ name: "spin", params: null });
    await taskManager.run({ name: "fibonacci", params: { n: 1 }, signal: AbortSignal.timeout(1) }).catch(() => {});
  })()`);
  const [running] = page.workers();
  const ended = running === undefined ? undefined : running.waitForEvent("close");
  await page.goto(`${site.url}/?next`);
  await ended;
  expect(await page.evaluate("localStorage.getItem('left')")).toBe("0");
  expect(errors).toEqual([]);
  await page.close();
});

test("20,000 tasks on 4 workers leave the page responsive", async () => {
  const { page, errors } = await openTasks();
  await page.evaluate(`(async () => {
    const { BrowserWorkerManager, TaskManager } = tasks;
    globalThis.manager = new TaskManager();
    new BrowserWorkerManager({ manager, configs: [{ ...${math}, count: 4 }] });
    await manager.run({ name: "echo", params: 0 });
  })()`);
  let sum: unknown;
  const longest = await longestTaskOf(page, async () => {
    sum = await page.evaluate(`(async () => {
      let sum = 0;
      const runs = [];
      for (let params = 0; params < 20_000; params++) {
        runs.push(manager.run({ name: "echo", params }).then((value) => { sum += value; }));
        // The page adds in portions.
        if (params % 500 === 499) await new Promise((resolve) => setTimeout(resolve));
      }
      await Promise.all(runs);
      return sum;
    })()`);
  });
  expect(sum).toBe((20_000 * 19_999) / 2);
  expect(longest).toBeLessThanOrEqual(50);
  expect(errors).toEqual([]);
  await page.close();
});
