import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const source = join(dirname(__dirname), "runtimes");
const folder = join(dirname(dirname(__dirname)), "node_modules", ".cache", "runtimes");
const onWindows = process.platform === "win32";

/** Installs the runtimes of runtimes/package.json, unless they are there from an earlier run. */
export async function ensureRuntimes(): Promise<void> {
  const lock = await readFile(join(source, "package-lock.json"));
  const wanted = createHash("sha256").update(lock).digest("hex");
  const stamp = join(folder, "complete");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) await cp(join(source, file), join(folder, file));
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  await run(onWindows ? "npm.cmd" : "npm", args, { cwd: folder, shell: onWindows });
  await writeFile(stamp, wanted);
}

/** The runtimes by name, each with the command that runs a program. */
export const runtimes: [name: string, command: string[]][] = [
  ["Node.js 22", [nodeOf(22)]],
  ["Node.js 24", [nodeOf(24)]],
  ["Bun", [join(folder, "node_modules", ".bin", onWindows ? "bun.exe" : "bun")]],
  ["Deno", [join(folder, "node_modules", ".bin", onWindows ? "deno.cmd" : "deno"), "run", "--allow-all"]],
];

function nodeOf(version: number): string {
  const platform = onWindows ? "win" : process.platform;
  const program = onWindows ? "node.exe" : "node";
  return join(folder, "node_modules", `node${version}-${platform}-${process.arch}`, "bin", program);
}
