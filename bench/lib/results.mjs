import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Refusal, inProject, tool } from "../../scripts/lib/project.mjs";
import { show } from "../../scripts/lib/run.mjs";
import { writeDocument } from "./document.mjs";
import { isBusy } from "./quiet.mjs";

/** What a run has measured; kept on disk from the first case on, so that a run that is cut short leaves something. */
export class Results {
  #began = performance.now();
  #measured = 0;

  /** `cases`: those of earlier runs, of which some are measured again. */
  constructor({ name, machine, rounds, cases = [] }) {
    this.name = name;
    this.machine = machine;
    this.rounds = rounds;
    this.cases = cases;
  }

  get path() {
    return pathOf(this.name);
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
    return `${this.#measured} cases, ${faults}, ${seconds} s, ${this.path}`;
  }

  get faults() {
    return this.cases.reduce((count, { faults }) => count + faults.length, 0);
  }

  add(measured) {
    const { machine, rounds, cases } = this;
    const { commit, date, loadBefore } = machine;
    const one = { ...measured, commit, date, loadBefore, rounds };
    const place = cases.findIndex(({ id }) => id === measured.id);
    if (place < 0) cases.push(one);
    else cases[place] = one;
    this.#measured++;
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

/** What has to be the same for figures of several runs to stand in one document. */
const comparable = ["cpu", "cores", "kernel", "node", "ws", "bufferutil", "rustc", "descriptorLimit"];

/** The cases of the document, of which some are to be measured again. */
export function documentedCases(machine) {
  const path = pathOf("documented");
  if (!existsSync(inProject(path))) throw new Refusal(`There is no ${path} yet; run all cases first.`);
  const before = JSON.parse(readFileSync(inProject(path), "utf8"));
  const other = comparable.find((key) => before.machine[key] !== machine[key]);
  if (other !== undefined) {
    throw new Refusal(
      `${path} was measured with another ${other} (${before.machine[other]}, not ${machine[other]}); run all cases.`,
    );
  }
  return before.cases;
}

function pathOf(name) {
  return `bench/results/${name}.json`;
}
