/*
 * npm run lock
 *
 * npm leaves packages of other platforms out of package-lock.json when it could not get them while it wrote the lock,
 * and `npm ci` then refuses that lock. This adds them, with what their names say about the platform.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { inProject } from "./lib/project.mjs";
import { completed } from "./lib/lock.mjs";

const path = inProject("package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8"));
writeFileSync(path, `${JSON.stringify({ ...lock, packages: completed(lock.packages) }, undefined, 2)}\n`);
