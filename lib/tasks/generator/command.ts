import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { kindOf, type WorkerKind } from "./kinds.js";
import { exampleSource, workerSource, type Format } from "./templates.js";

const USAGE = `Usage: generate-worker <name> [dir=./workers] [browser|server=browser] [--esm] [--ts] [--force]
Example: generate-worker math-worker ./public/workers browser
Kinds by name: math, calc (math); data, api (data); image, img (image); else math
`;

const HELP = `${USAGE}
Writes <dir>/<name>.js, a worker script, and <dir>/<name>-example.js, a program that uses it.

  --esm    ES modules instead of a classic script or CommonJS (server: .mjs)
  --ts     TypeScript (server: .mts with --esm, else .cts)
  --force  overwrite files
  --help   print this
`;

/** A sentence for the user, without a stack. */
class Refusal extends Error {}

/** Runs the command line; returns the exit code. */
export function runCommand(args: readonly string[]): number {
  try {
    const { values, positionals } = parse(args);
    if (values.help === true) {
      process.stdout.write(HELP);
      return 0;
    }
    const [name, dir = "./workers", type = "browser", ...rest] = positionals;
    if (name === undefined) throw new Refusal(USAGE.trimEnd());
    if (rest.length > 0) throw new Refusal(`Unexpected argument: ${rest[0]}`);
    if (type !== "browser" && type !== "server")
      throw new Refusal('Worker type must be "browser" or "server"');
    if (!/^[\w.-]+$/.test(name) || /^\.+$/.test(name))
      throw new Refusal(`Worker name must have letters, digits, ".", "_" and "-" only: ${name}`);
    const format = { name, type, isModule: values.esm === true, isTypeScript: values.ts === true } as const;
    generate(format, dir, values.force === true);
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
}

function parse(args: readonly string[]) {
  const option = { type: "boolean" } as const;
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { esm: option, ts: option, force: option, help: { ...option, short: "h" } },
  });
}

function generate(format: Format, dir: string, isForced: boolean): void {
  const kind = kindOf(format.name);
  const worker = `${format.name}${suffixOf(format)}`;
  const example = `${format.name}-example${suffixOf(format)}`;
  const files = { [worker]: workerSource(kind, format), [example]: exampleSource(kind, format, worker) };
  if (!isForced) refuseToOverwrite(dir, Object.keys(files));
  if (!existsSync(dir)) {
    mkdirSync(dir, { recursive: true });
    print(`Created directory: ${dir}`);
  }
  announce(kind, format);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  print(`Worker: ${join(dir, worker)}`);
  print(`Example: ${join(dir, example)}`);
}

function refuseToOverwrite(dir: string, files: readonly string[]): void {
  const present = files.map((file) => join(dir, file)).find((path) => existsSync(path));
  if (present !== undefined) throw new Refusal(`${present} is there already (--force overwrites it)`);
}

function announce(kind: WorkerKind, { name, type }: Format): void {
  print(`Generating ${kind.description} (${name}) for ${type}...`);
  print(`Tasks: ${kind.tasks.map((task) => task.name).join(", ")}`);
}

/** Node tells the kind of a script by its suffix; a classic server worker is CommonJS also in a project of modules. */
function suffixOf({ type, isModule, isTypeScript }: Format): string {
  if (type === "browser") return isTypeScript ? ".ts" : ".js";
  if (isTypeScript) return isModule ? ".mts" : ".cts";
  return isModule ? ".mjs" : ".js";
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
