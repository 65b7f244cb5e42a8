import { binding } from "../native.js";
import { NO_SLOT, type Home, type Session } from "../session.js";

/** Between the precedences of neighbours, at first. */
const SPACE = 2 ** 32;
/** A longer run is cut in two: it is what an insertion moves about. */
const LONGEST_RUN = 512;
/** Spreading leaves so much between neighbours for each that is spread, so that many are not spread soon again. */
const ROOM = 2 ** 6;
/** With more newcomers than one in so many, sorting all is faster than inserting each. */
const MANY = 8;

/**
 * Keeps the sessions of a fleet in the order of `id.localeCompare`, and tells the native core each one's place in it as
 * a number, its precedence. So the core, which knows no collation, finds the first of equally loaded workers by itself.
 *
 * A session that is put between two others gets a number between theirs. Where there is none left, the numbers around
 * it are spread anew.
 */
export class CollationOrder {
  readonly #home: Home;
  /** In order, none empty. Those that have left stay until there are too many of them. */
  #runs: Session[][] = [];
  /** Not yet in order. */
  #newcomers: Session[];
  /** How many are in the runs or among the newcomers. */
  #known: number;
  /** How many of them have left. */
  #left = 0;

  constructor(home: Home, sessions: Iterable<Session>) {
    this.#home = home;
    this.#newcomers = [...sessions];
    this.#known = this.#newcomers.length;
  }

  /** Takes in a session, which comes after all that compare equal. */
  add(session: Session): void {
    this.#newcomers.push(session);
    this.#known++;
  }

  /** Takes note that a session has left its place. */
  removed(): void {
    this.#left++;
    if (this.#left > 32 && this.#left * 2 > this.#known) this.#forgetThoseThatLeft();
  }

  /** Brings what the native core knows up to date. */
  settle(): void {
    const newcomers = this.#newcomers;
    if (newcomers.length === 0) return;
    this.#newcomers = [];
    if (newcomers.length * MANY > this.#known) this.#sort(newcomers);
    else for (const session of newcomers) this.#insert(session);
  }

  #sort(newcomers: Session[]): void {
    const sorted = [...this.#runs.flat(), ...newcomers].filter(isThere);
    // Stable: among equal ones the older stay first.
    sorted.sort(compare);
    this.#runs = cut(sorted);
    this.#known = sorted.length;
    this.#left = 0;
    this.#spread(sorted, 0, SPACE);
  }

  #insert(session: Session): void {
    const runs = this.#runs;
    const place = Math.max(0, countUpTo(session, runs.length, (at) => runs[at]![0]!) - 1);
    const run = runs[place]!;
    const at = countUpTo(session, run.length, (index) => run[index]!);
    const before = run[at - 1]?.precedence ?? this.#lastOf(place - 1);
    const after = run[at]?.precedence ?? this.#firstOf(place + 1);
    const precedence = between(before, after);
    run.splice(at, 0, session);
    if (precedence === before || precedence === after) this.#makeRoom(place);
    else this.#tell(session, precedence);
    if (run.length > LONGEST_RUN) runs.splice(place, 1, ...cut(run));
  }

  /** Spreads a run, and as many around it as it takes. */
  #makeRoom(place: number): void {
    for (let reach = 0; ; reach = reach * 2 || 1) {
      const from = Math.max(place - reach, 0);
      const to = place + reach + 1;
      const sessions = this.#runs.slice(from, to).flat();
      const low = this.#lastOf(from - 1);
      const high = this.#firstOf(to);
      // Towards an end there is room without end.
      if (low === undefined) return this.#spread(sessions, (high ?? 0) - SPACE * sessions.length, SPACE);
      if (high === undefined) return this.#spread(sessions, low + SPACE, SPACE);
      const step = (high - low) / (sessions.length + 1);
      if (step >= sessions.length * ROOM) return this.#spread(sessions, low + step, step);
    }
  }

  #firstOf(place: number): number | undefined {
    return this.#runs[place]?.[0]?.precedence;
  }

  #lastOf(place: number): number | undefined {
    return this.#runs[place]?.at(-1)?.precedence;
  }

  #spread(sessions: readonly Session[], first: number, step: number): void {
    let precedence = first;
    for (const session of sessions) {
      this.#tell(session, precedence);
      precedence += step;
    }
  }

  #tell(session: Session, precedence: number): void {
    session.precedence = precedence;
    if (isThere(session)) binding.setPrecedence(this.#home.number, session.slot, precedence);
  }

  #forgetThoseThatLeft(): void {
    this.#runs = cut(this.#runs.flat().filter(isThere));
    this.#newcomers = this.#newcomers.filter(isThere);
    this.#known -= this.#left;
    this.#left = 0;
  }
}

function isThere(session: Session): boolean {
  return session.slot !== NO_SLOT;
}

/** Runs that have room to grow. */
function cut(sessions: Session[]): Session[][] {
  const runs: Session[][] = [];
  const length = LONGEST_RUN / 2;
  for (let at = 0; at < sessions.length; at += length) runs.push(sessions.slice(at, at + length));
  return runs;
}

/** How many of a sorted list come before a session or compare equal. */
function countUpTo(session: Session, length: number, at: (index: number) => Session): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(at(middle), session) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ids are strings by type, but a worker may have sent any JSON. */
function compare(a: Session, b: Session): number {
  return String(a.id).localeCompare(String(b.id));
}

function between(before: number | undefined, after: number | undefined): number {
  if (before === undefined) return after === undefined ? 0 : after - SPACE;
  return after === undefined ? before + SPACE : (before + after) / 2;
}
