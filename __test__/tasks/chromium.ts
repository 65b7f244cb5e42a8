import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, extname, join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
};

export interface Answer {
  body: string | Buffer;
  type?: string;
  headers?: Record<string, string>;
}

/** A server on loopback with some paths, or the files of a folder. */
export class Site {
  readonly #server: Server;
  readonly paths = new Map<string, Answer>();

  constructor(folder?: string) {
    this.#server = createServer((request, response) => {
      const path = new URL(request.url!, "http://localhost").pathname;
      const answer = this.paths.get(path) ?? fileOf(folder, path);
      if (answer === undefined) {
        response.writeHead(404).end("not found");
        return;
      }
      const type = answer.type ?? TYPES[extname(path) || ".html"] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, ...answer.headers }).end(answer.body);
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

function fileOf(folder: string | undefined, path: string): Answer | undefined {
  if (folder === undefined) return undefined;
  try {
    return { body: readFileSync(join(folder, path === "/" ? "index.html" : path)) };
  } catch {
    return undefined;
  }
}

export async function openChromium(): Promise<Browser> {
  // The tests run as root in containers, where the sandbox does not start.
  const folders = process.env["PATH"]!.split(delimiter);
  const executablePath = folders.map((folder) => join(folder, "chromium")).find(existsSync)!;
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A page, with the errors that nobody caught. */
export async function openPage(browser: Browser, url: string): Promise<{ page: Page; errors: string[] }> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  return { page, errors };
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly args?: { readonly name?: string };
  /** Microseconds of CPU time. */
  readonly tdur?: number;
}

/**
 * The most CPU time, in milliseconds, that one task of the page's main thread takes while `run` runs. Not the time that
 * passes: on a busy machine a task waits for its turn.
 */
export async function longestTaskOf(page: Page, run: () => Promise<unknown>): Promise<number> {
  const browser = page.context().browser()!;
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  await run();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: TraceEvent[];
  };
  const isMain = ({ name, args }: TraceEvent): boolean =>
    name === "thread_name" && args?.name === "CrRendererMain";
  const mains = new Set(traceEvents.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(
    ({ name, pid, tid }) => name === "ThreadControllerImpl::RunTask" && mains.has(`${pid} ${tid}`),
  );
  if (tasks.length === 0) throw new Error("the trace has no task of a page");
  return Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1_000;
}
