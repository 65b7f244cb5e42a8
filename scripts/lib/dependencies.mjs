import { existsSync, readFileSync } from "node:fs";
import { Refusal, inProject } from "./project.mjs";
import { show } from "./run.mjs";

/** Runs `npm ci` when node_modules is missing or is not what package-lock.json says. */
export async function ensureDependencies() {
  const wanted = packagesIn(inProject("package-lock.json"));
  const installed = packagesIn(inProject("node_modules", ".package-lock.json"));
  if (fits(wanted, installed)) return;
  process.stderr.write("npm ci\n");
  const code = await show("npm", ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (code !== 0) throw new Refusal("`npm ci` failed (its output is above).");
}

/** Whether every package that is not optional is there in the version and with the contents that the lock names. */
export function fits(wanted, installed) {
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const present = installed[path];
    if (!present) return entry.optional === true || entry.devOptional === true;
    return present.version === entry.version && present.integrity === entry.integrity;
  });
}

/** npm writes what it installed into a lock of the same form inside node_modules. */
function packagesIn(path) {
  if (!existsSync(path)) return {};
  return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
}
