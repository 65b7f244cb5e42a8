import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inProject } from "../lib/project.mjs";
import { filesBelow } from "../lib/stamp.mjs";

/** What the rules look at; a test gives them a made-up one. */
export const projectFiles = {
  /** The files below the folders, as paths with `/` relative to the project. */
  list(...folders) {
    return folders.flatMap((folder) => filesBelow(folder)).map((path) => path.replaceAll("\\", "/"));
  },

  /** The text of a file, or nothing when it does not exist. */
  read(path) {
    return existsSync(inProject(path)) ? readFileSync(inProject(path), "utf8") : undefined;
  },

  /** What the package exports when it is really loaded. */
  load(path) {
    return createRequire(import.meta.url)(inProject(path));
  },
};
