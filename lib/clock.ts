import { binding } from "./native.js";

let lastNow: (() => number) | undefined;
let isVirtual = false;

/**
 * Whether the realm's `Date` is not the system's: fake timers of a test, which then drive everything that has to do with
 * time. Otherwise elapsed time is read from a clock that nothing sets.
 */
export function hasVirtualClock(): boolean {
  const { now } = Date;
  if (now !== lastNow) {
    lastNow = now;
    isVirtual = !Function.prototype.toString.call(now).includes("[native code]");
  }
  return isVirtual;
}

/** What the realm's own clock shows, in milliseconds since the Unix epoch; NaN: it has none. */
export function virtualNow(): number {
  return hasVirtualClock() ? Date.now() : NaN;
}

/** Milliseconds since some moment, to measure elapsed time with. */
export function steadyNow(): number {
  return hasVirtualClock() ? Date.now() : binding.steadyNow();
}
