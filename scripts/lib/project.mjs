import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of package.json. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

export function inProject(...parts) {
  return join(root, ...parts);
}

/** A program that a dev dependency brings, e.g. `tool("jest")`. */
export function tool(name) {
  return inProject("node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name);
}

/** Why a script cannot go on, as a sentence for its user. */
export class Refusal extends Error {}

/** Runs a script; a refusal ends it with the sentence alone, without a stack. */
export async function main(script) {
  try {
    await script();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
