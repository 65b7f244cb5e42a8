/** Listens once to each signal, however many tasks have it. Node warns of a signal with many listeners. */
export class AbortWatch<T> {
  readonly #watched = new Map<AbortSignal, { followers: Set<T>; listener: () => void }>();
  readonly #onAbort: (follower: T) => void;

  constructor(onAbort: (follower: T) => void) {
    this.#onAbort = onAbort;
  }

  follow(signal: AbortSignal, follower: T): void {
    const watched = this.#watched.get(signal);
    if (watched !== undefined) {
      watched.followers.add(follower);
      return;
    }
    const followers = new Set([follower]);
    const listener = (): void => {
      this.#watched.delete(signal);
      for (const each of [...followers]) this.#onAbort(each);
    };
    signal.addEventListener("abort", listener, { once: true });
    this.#watched.set(signal, { followers, listener });
  }

  forget(signal: AbortSignal, follower: T): void {
    const watched = this.#watched.get(signal);
    if (watched === undefined) return;
    watched.followers.delete(follower);
    if (watched.followers.size > 0) return;
    signal.removeEventListener("abort", watched.listener);
    this.#watched.delete(signal);
  }
}
