import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const onWindows = process.platform === "win32";
const systemPython = onWindows ? "python" : "python3";
const requirements = join(__dirname, "python-requirements.txt");
const environment = join(dirname(dirname(__dirname)), "node_modules", ".cache", "python-clients");
const environmentPython = join(environment, ...(onWindows ? ["Scripts", "python.exe"] : ["bin", "python"]));

/** Makes the environment with the libraries of python-requirements.txt, unless it is there from an earlier run. */
export async function ensurePython(): Promise<void> {
  const version = await run(systemPython, ["-c", "import sys; print(sys.version)"]).catch((error) => {
    const reason = "These tests run workers in Python, and there is none to be found";
    throw new Error(`${reason}: install Python 3.9 or newer as \`${systemPython}\`. (${error.message})`);
  });
  const wanted = createHash("sha256")
    .update(version.stdout)
    .update(await readFile(requirements))
    .digest("hex");
  const stamp = join(environment, "complete");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  await rm(environment, { recursive: true, force: true });
  await mkdir(dirname(environment), { recursive: true });
  await run(systemPython, ["-m", "venv", environment]).catch((error) => {
    throw new Error(`\`${systemPython} -m venv\` failed; on Debian install python3-venv. (${error.message})`);
  });
  await run(environmentPython, ["-m", "pip", "install", "--quiet", "--requirement", requirements]);
  await writeFile(stamp, wanted);
}

/** A worker in Python (python-worker.py). */
export class PythonWorker {
  static readonly #all = new Set<PythonWorker>();
  readonly #child: ChildProcess;
  /** How its connection was closed, as it saw it; fails with what it complained of, if it did. */
  readonly ended: Promise<{ code: number; reason: string }>;

  constructor(library: string, url: string, token?: string) {
    const script = join(__dirname, "python-worker.py");
    const options = [library, url, ...(token === undefined ? [] : [token])];
    this.#child = spawn(environmentPython, [script, ...options], { stdio: ["ignore", "pipe", "pipe"] });
    PythonWorker.#all.add(this);
    this.ended = this.#ending();
    // Those that do not ask for the ending have failed or succeeded without it.
    this.ended.catch(() => {});
  }

  static async endAll(): Promise<void> {
    const all = [...PythonWorker.#all];
    PythonWorker.#all.clear();
    for (const worker of all) worker.kill();
    await Promise.allSettled(all.map((worker) => worker.ended));
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #ending(): Promise<{ code: number; reason: string }> {
    let output = "";
    let complaints = "";
    this.#child.stdout!.on("data", (chunk) => (output += chunk));
    this.#child.stderr!.on("data", (chunk) => (complaints += chunk));
    await once(this.#child, "close");
    if (output === "") throw new Error(`the worker in Python failed: ${complaints}`);
    return JSON.parse(output);
  }
}
