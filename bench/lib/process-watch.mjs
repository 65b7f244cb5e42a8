import { readFileSync, readdirSync } from "node:fs";
import { number } from "./format.mjs";

/** Looks every few seconds at what a process holds. */
export function watch(pid, seconds) {
  const began = performance.now();
  const samples = [];
  const timer = setInterval(
    () => {
      const at = Math.round((performance.now() - began) / 1000);
      samples.push({ at, rssMb: residentMb(pid), descriptors: readdirSync(`/proc/${pid}/fd`).length });
    },
    Math.max(1, seconds) * 1000,
  );
  return { samples, stop: () => clearInterval(timer) };
}

/**
 * By how much each thing grew from the second quarter of the time to the last: the first one is the start, in which
 * buffers and code find their sizes. `allowed` is the share up to which that is flat.
 */
export function growth(samples, allowed) {
  const quarter = Math.floor(samples.length / 4);
  return Object.entries(allowed).map(([what, most]) => {
    const values = samples.map((sample) => sample[what]);
    const before = median(values.slice(quarter, 2 * quarter));
    const after = median(values.slice(-quarter));
    return { what, before, after, isFlat: after <= before * (1 + most) };
  });
}

export function growthLine({ what, before, after, isFlat }) {
  return `${isFlat ? "flat" : "GROWS"}: ${what} ${number(before)} to ${number(after)}`;
}

function residentMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))[1]) / 1024;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
