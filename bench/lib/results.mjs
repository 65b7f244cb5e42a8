import { mkdirSync, writeFileSync } from "node:fs";
import { inProject, tool } from "../../scripts/lib/project.mjs";
import { show } from "../../scripts/lib/run.mjs";
import { writeDocument } from "./document.mjs";
import { isBusy } from "./quiet.mjs";

/** What a run has measured; kept on disk from the first case on, so that a run that is cut short leaves something. */
export class Results {
  cases = [];
  #began = performance.now();

  constructor({ name, machine, rounds }) {
    this.name = name;
    this.machine = machine;
    this.rounds = rounds;
  }

  get path() {
    return `bench/results/${this.name}.json`;
  }

  get heading() {
    const { cpu, cores, node, ws, bufferutil, commit, loadBefore } = this.machine;
    const noise = isBusy(this.machine)
      ? `; load ${loadBefore}: others use this machine, figures are noisy`
      : "";
    return `${commit} on ${cores} x ${cpu}, Node ${node}, ws ${ws} (bufferutil ${bufferutil}), ${this.rounds} rounds${noise}`;
  }

  get closing() {
    const seconds = Math.round((performance.now() - this.#began) / 1000);
    const faults = this.faults === 0 ? "no faults" : `${this.faults} FAULTS (lines with !!)`;
    return `${this.cases.length} cases, ${faults}, ${seconds} s, ${this.path}`;
  }

  get faults() {
    return this.cases.reduce((count, { faults }) => count + faults.length, 0);
  }

  add(measured) {
    this.cases.push(measured);
    const { machine, rounds, cases } = this;
    mkdirSync(inProject("bench/results"), { recursive: true });
    writeFileSync(inProject(this.path), `${JSON.stringify({ machine, rounds, cases }, null, 2)}\n`);
  }

  /** Such a run is for the repository: the document, the chart, and everything in the house's format. */
  async publish() {
    if (this.name !== "documented") return;
    const texts = writeDocument(this).filter((path) => !path.endsWith(".svg"));
    await show(tool("prettier"), ["--write", "--log-level=warn", this.path, ...texts]);
  }
}
