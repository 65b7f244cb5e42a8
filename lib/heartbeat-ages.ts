import { hasVirtualClock } from "./clock.js";
import { binding } from "./native.js";

/** Dates are as old as this many milliseconds more or less than they say, by rounding and the time to read two clocks. */
const NOISE_MS = 50;

interface Seen {
  readonly date: Date;
  readonly ms: number;
  /** Steady time at which it was this date. */
  readonly steadyMs: number;
}

/**
 * How old the last heartbeats of plain workers are, of which only dates are known: a step of the wall clock makes none of
 * them older or younger. In a realm with fake timers a date is as old as that clock says.
 */
export class HeartbeatAges {
  readonly #seen = new WeakMap<object, Seen>();
  /** What both clocks showed at the last look. */
  #wallMs = Date.now();
  #steadyMs = binding.steadyNow();

  /** Takes note of the date of a worker that is added. */
  note(worker: { readonly lastHeartbeat: Date }): void {
    if (!hasVirtualClock()) this.#ageOf(worker, Date.now(), binding.steadyNow());
  }

  /** Milliseconds since the last heartbeat of each worker. */
  of(workers: Iterable<{ readonly lastHeartbeat: Date }>): number[] {
    const wallMs = Date.now();
    if (hasVirtualClock()) {
      return Array.from(workers, ({ lastHeartbeat }) => wallMs - lastHeartbeat.getTime());
    }
    const steadyMs = binding.steadyNow();
    const ages = Array.from(workers, (worker) => this.#ageOf(worker, wallMs, steadyMs));
    this.#wallMs = wallMs;
    this.#steadyMs = steadyMs;
    return ages;
  }

  #ageOf(worker: { readonly lastHeartbeat: Date }, wallMs: number, steadyMs: number): number {
    const date = worker.lastHeartbeat;
    const ms = date.getTime();
    const before = this.#seen.get(worker);
    if (before !== undefined && before.date === date && before.ms === ms) return steadyMs - before.steadyMs;
    const age = this.#ageOfNew(wallMs - ms, wallMs, steadyMs);
    this.#seen.set(worker, { date, ms, steadyMs: steadyMs - age });
    return age;
  }

  /** The age of a date that was set since the last look, perhaps before a step of the wall clock. */
  #ageOfNew(wallAge: number, wallMs: number, steadyMs: number): number {
    const elapsed = steadyMs - this.#steadyMs;
    const step = wallMs - this.#wallMs - elapsed;
    const isPlausible = (age: number): boolean => age >= -NOISE_MS && age <= elapsed + NOISE_MS;
    return !isPlausible(wallAge) && isPlausible(wallAge - step) ? wallAge - step : wallAge;
  }
}
