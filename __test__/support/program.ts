import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

const PACKAGE_FOLDER = dirname(require.resolve("../../index.js"));

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** A user's program in a process of its own, where the package is installed under its name. */
export class Program {
  static readonly #all = new Set<Program>();

  /** All lines printed so far. */
  readonly lines: string[] = [];
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #stderr = "";

  private constructor(source: string, fileName: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "worker-server-program-"));
    mkdirSync(join(this.#folder, "node_modules"));
    symlinkSync(PACKAGE_FOLDER, join(this.#folder, "node_modules", "worker-server-native"), "junction");
    // A project of its own, whatever package.json lies further up.
    writeFileSync(join(this.#folder, "package.json"), '{ "name": "program", "private": true }');
    writeFileSync(join(this.#folder, fileName), source);
    this.#child = spawn(process.execPath, [fileName], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.lines.push(line));
    this.#child.stderr!.on("data", (chunk) => (this.#stderr += chunk));
    this.ended = once(this.#child, "close").then(([code, signal]) => {
      rmSync(this.#folder, { recursive: true, force: true });
      return { code, signal, stderr: this.#stderr };
    });
  }

  /** Starts an ES module. */
  static startModule(source: string): Program {
    return Program.#start(source, "program.mjs");
  }

  /** Starts a CommonJS program. */
  static startScript(source: string): Program {
    return Program.#start(source, "program.cjs");
  }

  static #start(source: string, fileName: string): Program {
    const program = new Program(source, fileName);
    Program.#all.add(program);
    return program;
  }

  /** Ends what a test left running. */
  static async endAll(): Promise<void> {
    const all = [...Program.#all];
    Program.#all.clear();
    await Promise.all(all.map((program) => program.kill()));
  }

  /** Returns once the program printed the line; fails if the program ended without it. */
  async printed(line: string): Promise<void> {
    const output = this.#child.stdout!;
    while (!this.lines.includes(line)) {
      const ending = await Promise.race([once(output, "data").then(() => undefined), this.ended]);
      if (ending && !this.lines.includes(line)) {
        throw new Error(
          `the program ended (${ending.code}) without printing ${JSON.stringify(line)}, ` +
            `but ${JSON.stringify(this.lines)}\n${ending.stderr}`,
        );
      }
    }
  }

  async kill(): Promise<Ending> {
    this.#child.kill("SIGKILL");
    return this.ended;
  }
}
