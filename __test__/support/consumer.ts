import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const PROJECT_FOLDER = dirname(require.resolve("../../index.js"));
const SOURCES = join(__dirname, "..", "consumers");
/** What our users know the package by. */
const ALIAS = "@hardlydifficult/worker-server";

export interface Outcome {
  readonly code: number;
  /** Both streams. */
  readonly output: string;
}

/**
 * A user's project outside the repository. The package is installed in it under the name of the original, as an npm
 * alias does it, and with it what the package depends on, but none of what the package is developed with.
 */
export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), "worker-server-consumer-"));

  /** `tools` are installed in the project beside it; `alias` is the name that the package has there. */
  constructor(tools: readonly string[] = [], alias = ALIAS) {
    const installed = this.#installed(alias);
    // Not a link: files of a linked package find everything that is installed in the repository.
    const published = manifestOf(PROJECT_FOLDER).files!.map((path) => path.split("/")[0]!);
    for (const part of new Set([...published, "package.json"])) {
      cpSync(join(PROJECT_FOLDER, part), join(installed, part), { recursive: true });
    }
    for (const name of [...dependenciesOf(PROJECT_FOLDER), ...tools]) {
      const link = this.#installed(name);
      symlinkSync(packageFolder(name), link, "junction");
    }
    this.write("package.json", '{ "private": true }');
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  /** Puts one of the files of `__test__/consumers` into the project. */
  add(source: string, file = source): void {
    cpSync(join(SOURCES, source), join(this.folder, file));
  }

  /** Runs a script with Node in the project's folder. */
  run(script: string, args: readonly string[] = []): Promise<Outcome> {
    // Nothing of the jest that runs this, nor of a build it may use, is the user's.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(?:jest_|npm_|napi_|node_env$|node_options$)/i.test(name),
      ),
    );
    return new Promise((resolve) => {
      execFile(process.execPath, [script, ...args], { cwd: this.folder, env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr });
      });
    });
  }

  /** Runs the command of a package that is installed in the repository. */
  runTool(name: string, args: readonly string[]): Promise<Outcome> {
    const manifest = manifestOf(packageFolder(name));
    const bin = typeof manifest.bin === "string" ? manifest.bin : Object.values(manifest.bin!)[0]!;
    return this.run(join(packageFolder(name), bin), args);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The folder of a package in this project; the one around it is there when this returns. */
  #installed(name: string): string {
    const folder = join(this.folder, "node_modules", name);
    mkdirSync(dirname(folder), { recursive: true });
    return folder;
  }
}

interface Manifest {
  files?: string[];
  bin?: string | Record<string, string>;
  dependencies?: Record<string, string>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function packageFolder(name: string): string {
  return join(PROJECT_FOLDER, "node_modules", name);
}

/** The names of what a package needs, with what that needs in turn. */
function dependenciesOf(folder: string): Set<string> {
  const names = new Set<string>();
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    names.add(name);
    for (const further of dependenciesOf(packageFolder(name))) names.add(further);
  }
  return names;
}
