/**
 * Sets and Maps that users hold and may edit, while what goes with them is kept in step.
 *
 * They are plain `Set`s and `Map`s to everybody who looks (`toStrictEqual`, `structuredClone`, `util.inspect`): only
 * their mutating methods are replaced, by own properties that are not enumerable.
 */

import { Given } from "./given.js";

const { add, delete: deleteFromSet, clear: clearSet } = Set.prototype;
const { set, delete: deleteFromMap, clear: clearMap } = Map.prototype;

/** Told of edits from outside, before they take effect. */
export interface SetObserver<T> {
  added(value: T): void;
  deleted(value: T): void;
}

/** Told of edits from outside, before they take effect. */
export interface MapObserver<K, V> {
  counted(key: K, value: V | undefined): void;
}

/** Who is told of edits, kept on the Set or Map itself. */
class Observed extends Given {
  readonly #observer: unknown;

  private constructor(target: object, observer: unknown) {
    super(target);
    this.#observer = observer;
  }

  static observe(target: object, observer: unknown): void {
    // oxlint-disable-next-line no-new -- what it is for is what its constructor does to the target
    new Observed(target, observer);
  }

  static observerOf(target: object): unknown {
    return #observer in target ? target.#observer : undefined;
  }
}

function setObserverOf<T>(target: Set<T>): SetObserver<T> | undefined {
  return Observed.observerOf(target) as SetObserver<T> | undefined;
}

function mapObserverOf<K, V>(target: Map<K, V>): MapObserver<K, V> | undefined {
  return Observed.observerOf(target) as MapObserver<K, V> | undefined;
}

/**
 * A method of one object, which may be replaced there. Getters lie in what all objects of the kind share, where values
 * would take a place in each; there are two collections to every worker.
 */
const own = <F>(name: string, method: F): PropertyDescriptor & { get: () => F } => ({
  configurable: true,
  get: () => method,
  set(value) {
    Object.defineProperty(this, name, { value, writable: true, configurable: true });
  },
});

const setMethods = {
  add: own("add", function (this: Set<never>, value: never) {
    if (!this.has(value)) setObserverOf(this)?.added(value);
    return add.call(this, value);
  }),
  delete: own("delete", function (this: Set<never>, value: never) {
    if (this.has(value)) setObserverOf(this)?.deleted(value);
    return deleteFromSet.call(this, value);
  }),
  clear: own("clear", function (this: Set<never>) {
    for (const value of this) setObserverOf(this)?.deleted(value);
    clearSet.call(this);
  }),
};

const mapMethods = {
  set: own("set", function (this: Map<never, never>, key: never, value: never) {
    mapObserverOf(this)?.counted(key, value);
    return set.call(this, key, value);
  }),
  delete: own("delete", function (this: Map<never, never>, key: never) {
    if (this.has(key)) mapObserverOf(this)?.counted(key, undefined);
    return deleteFromMap.call(this, key);
  }),
  clear: own("clear", function (this: Map<never, never>) {
    for (const key of this.keys()) mapObserverOf(this)?.counted(key, undefined);
    clearMap.call(this);
  }),
};

export function observedSet<T>(observer: SetObserver<T>): Set<T> {
  const created = new Set<T>();
  Observed.observe(created, observer);
  // One by one: Object.defineProperties takes twice the time.
  Object.defineProperty(created, "add", setMethods.add);
  Object.defineProperty(created, "delete", setMethods.delete);
  return Object.defineProperty(created, "clear", setMethods.clear);
}

export function observedMap<K, V>(observer: MapObserver<K, V>): Map<K, V> {
  const created = new Map<K, V>();
  Observed.observe(created, observer);
  Object.defineProperty(created, "set", mapMethods.set);
  Object.defineProperty(created, "delete", mapMethods.delete);
  return Object.defineProperty(created, "clear", mapMethods.clear);
}

/** The edits that the server makes itself, which nobody needs to be told of. */
export const quietly = {
  add<T>(target: Set<T>, value: T): void {
    add.call(target, value);
  },
  deleteFromSet<T>(target: Set<T>, value: T): boolean {
    return deleteFromSet.call(target, value);
  },
  set<K, V>(target: Map<K, V>, key: K, value: V): void {
    set.call(target, key, value);
  },
};
