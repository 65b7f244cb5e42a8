/* npm run clean: removes everything that a build made, except what npm installed. */
import { readdirSync, rmSync } from "node:fs";
import { inProject } from "./lib/project.mjs";

for (const path of ["dist", "target", ".stamps"]) rmSync(inProject(path), { recursive: true, force: true });
for (const name of readdirSync(inProject("native"))) {
  if (/\.node(\.debug)?$/.test(name)) rmSync(inProject("native", name));
}
