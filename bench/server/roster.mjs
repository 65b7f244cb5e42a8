/** The ids of those who are connected, to be gone through one after the other while they come and go. */
export class Roster {
  #ids = [];
  /** Where each stands. */
  #places = new Map();
  #next = 0;

  get all() {
    return [...this.#ids];
  }

  add(id) {
    this.#places.set(id, this.#ids.push(id) - 1);
  }

  /** The last one takes its place. */
  remove(id) {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const last = this.#ids.pop();
    if (last === id) return;
    this.#ids[place] = last;
    this.#places.set(last, place);
  }

  /** Whose turn it is; nothing if nobody is there. */
  next() {
    this.#next = this.#next + 1 < this.#ids.length ? this.#next + 1 : 0;
    return this.#ids[this.#next];
  }
}
