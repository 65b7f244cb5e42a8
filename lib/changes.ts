import { binding, ChangesView } from "./native.js";
import { numberOf, type WorkerStatus } from "./worker-status.js";

/** The part of a session that the native pool has to know. */
interface Changed {
  readonly slot: number;
  /** Where its latest change stands. */
  changeAt: number;
}

/**
 * What has changed of the sessions since the native pool was last asked something: it reads the list when it is asked
 * the next time. So a change costs no call, and one that is overtaken by the next costs nothing at all.
 */
export class Changes {
  readonly #server: number;
  readonly #view: Float64Array;
  /** Whose each change of the list is. */
  readonly #whose: (Changed | undefined)[] = [];

  constructor(server: number, view: Float64Array) {
    this.#server = server;
    this.#view = view;
  }

  note(session: Changed, status: WorkerStatus, active: number): void {
    const view = this.#view;
    let at = session.changeAt;
    // The native side has taken the list if it is shorter than that.
    if (at >= view[ChangesView.Count]! || this.#whose[at] !== session) {
      if (view[ChangesView.Count] === ChangesView.Most) binding.applyChanges(this.#server);
      at = view[ChangesView.Count]!++;
      this.#whose[at] = session;
      session.changeAt = at;
    }
    const place = ChangesView.First + at * ChangesView.PerChange;
    view[place] = session.slot;
    view[place + 1] = numberOf(status);
    view[place + 2] = active;
  }
}
