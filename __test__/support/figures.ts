import { appendFileSync } from "node:fs";

/** `npm run soak` asks for the numbers that are promised; otherwise there are fewer of everything. */
export const isFull = process.env.FAULTS_IN_FULL === "1";

/** How many there are: in `npm test`, and in `npm run soak`. */
export function sized<T>(few: T, full: T): T {
  return isFull ? full : few;
}

/** A time that is promised; in `npm test`, where others use the machine as well, ten times that. */
export function promised(ms: number): number {
  return sized(10 * ms, ms);
}

/** Expects the figure to be at most so much, and notes it for the reader of `npm run soak`. */
export function expectAtMost(what: string, figure: number, most: number, unit = "ms"): void {
  note(what, figure, `<= ${round(most)}`, unit);
  if (!(figure <= most))
    throw new Error(`${what}: ${round(figure)} ${unit}, expected at most ${round(most)}`);
}

/** Notes a figure that nothing is promised of. */
export function note(what: string, figure: number, bound = "", unit = ""): void {
  const file = process.env.FAULTS_FIGURES;
  if (file === undefined) return;
  const test = expect.getState().currentTestName;
  appendFileSync(file, `${JSON.stringify({ test, what, figure: round(figure), bound, unit })}\n`);
}

export const MIB = 1024 * 1024;

function round(figure: number): number {
  return Number(figure.toPrecision(3));
}
