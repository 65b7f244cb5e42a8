import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inProject } from "./project.mjs";

/**
 * Remembers of a build step what went in and what came out, by contents: a checkout of another commit,
 * an edit and its undoing, or a deleted output are all noticed, and a touched file is not.
 */
export class Stamp {
  #path;
  #inputs;
  #outputs;

  /** `inputs` and `outputs` are files or folders of the project; `extra` is anything else that matters, as text. */
  constructor(name, { inputs, outputs, extra = "" }) {
    this.#path = inProject(".stamps", name);
    // Taken now: what changes while the step runs has to make the next one run again.
    this.#inputs = digest(inputs, extra);
    this.#outputs = outputs;
  }

  get isCurrent() {
    if (!existsSync(this.#path)) return false;
    const [inputs, outputs] = readFileSync(this.#path, "utf8").split("\n");
    return inputs === this.#inputs && outputs === digest(this.#outputs);
  }

  write() {
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(this.#path, `${this.#inputs}\n${digest(this.#outputs)}\n`);
  }
}

/** All files below a file or folder of the project, sorted, as paths relative to the project. */
export function filesBelow(path) {
  const absolute = inProject(path);
  if (!existsSync(absolute)) return [];
  if (statSync(absolute).isFile()) return [path];
  return readdirSync(absolute)
    .toSorted()
    .flatMap((name) => filesBelow(join(path, name)));
}

function digest(paths, extra = "") {
  const hash = createHash("sha256").update(extra);
  for (const path of paths) {
    hash.update(`\0${path}\0`);
    for (const file of filesBelow(path)) hash.update(`\0${file}\0`).update(readFileSync(inProject(file)));
  }
  return hash.digest("hex");
}
