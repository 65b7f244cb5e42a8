import { number, times } from "./format.mjs";
import { ratio, summary } from "./statistics.mjs";
import { targets } from "../targets.mjs";

/** Each target that the cases measured say something about: what was asked for, and what was reached where. */
export function judged({ cases }) {
  return targets.flatMap((target) => {
    const reached = cases
      .filter(({ id }) => target.cases.test(id))
      .map(({ id, samples }) => ({ id, value: valueOf(target, samples) }))
      .filter(({ value }) => value !== undefined);
    if (reached.length === 0) return [];
    const met = reached.filter(({ value }) => isMet(target, target.least, value)).length;
    const aimed = reached.filter(({ value }) => isMet(target, target.aim, value)).length;
    return [{ target, reached, met, aimed }];
  });
}

export function targetLines(results) {
  const lines = judged(results).map(({ target, reached, met, aimed }) => {
    const verdict = met === reached.length ? (aimed === met ? "AIM " : "ok  ") : "MISS";
    return `${verdict} ${target.what}: ${reachedText(target, reached)} (at least ${goal(target, target.least)}, aim ${goal(target, target.aim)}; ${met} of ${reached.length})`;
  });
  return lines.length > 0 ? ["What to reach:", ...lines] : [];
}

/** From worst to best, with the worst one's name. */
export function reachedText(target, reached) {
  const sorted = reached.toSorted((a, b) => (target.isMost ? b.value - a.value : a.value - b.value));
  const text = (value) => (target.absolute ? number(value) : times(value));
  if (sorted.length === 1) return text(sorted[0].value);
  return `${text(sorted[0].value)} (${sorted[0].id}) to ${text(sorted.at(-1).value)}`;
}

export function goal(target, value) {
  if (typeof value === "string" || value === undefined) return value ?? "-";
  return target.absolute ? number(value) : times(value);
}

function valueOf(target, samples) {
  if (target.absolute) return summary(samples.ours, target.key)?.median;
  return ratio(target, samples.ours, samples.peer);
}

function isMet({ isMost }, goalValue, value) {
  if (typeof goalValue !== "number") return false;
  return isMost ? value <= goalValue : value >= goalValue;
}
