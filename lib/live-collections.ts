/**
 * Sets and Maps that users hold and may edit, while what goes with them is kept in step.
 *
 * They are plain `Set`s and `Map`s to everybody who looks (`toStrictEqual`, `structuredClone`, `util.inspect`): only
 * their mutating methods are replaced, by own properties that are not enumerable.
 */

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
    if (!this.has(value)) ObservedSet.observerOf(this)?.added(value);
    return add.call(this, value);
  }),
  delete: own("delete", function (this: Set<never>, value: never) {
    if (this.has(value)) ObservedSet.observerOf(this)?.deleted(value);
    return deleteFromSet.call(this, value);
  }),
  clear: own("clear", function (this: Set<never>) {
    for (const value of this) ObservedSet.observerOf(this)?.deleted(value);
    clearSet.call(this);
  }),
};

const mapMethods = {
  set: own("set", function (this: Map<never, never>, key: never, value: never) {
    ObservedMap.observerOf(this)?.counted(key, value);
    return set.call(this, key, value);
  }),
  delete: own("delete", function (this: Map<never, never>, key: never) {
    if (this.has(key)) ObservedMap.observerOf(this)?.counted(key, undefined);
    return deleteFromMap.call(this, key);
  }),
  clear: own("clear", function (this: Map<never, never>) {
    for (const key of this.keys()) ObservedMap.observerOf(this)?.counted(key, undefined);
    clearMap.call(this);
  }),
};

/** Made with a place for its observer, which a private field put on a `Set` would have to have beside it. */
class ObservedSet<T> extends Set<T> {
  readonly #observer: SetObserver<T>;

  constructor(observer: SetObserver<T>) {
    super();
    this.#observer = observer;
    Object.setPrototypeOf(this, Set.prototype);
    // One by one: Object.defineProperties takes twice the time.
    Object.defineProperty(this, "add", setMethods.add);
    Object.defineProperty(this, "delete", setMethods.delete);
    Object.defineProperty(this, "clear", setMethods.clear);
  }

  static observerOf(target: object): SetObserver<unknown> | undefined {
    return #observer in target ? target.#observer : undefined;
  }
}

/** As {@link ObservedSet}. */
class ObservedMap<K, V> extends Map<K, V> {
  readonly #observer: MapObserver<K, V>;

  constructor(observer: MapObserver<K, V>) {
    super();
    this.#observer = observer;
    Object.setPrototypeOf(this, Map.prototype);
    Object.defineProperty(this, "set", mapMethods.set);
    Object.defineProperty(this, "delete", mapMethods.delete);
    Object.defineProperty(this, "clear", mapMethods.clear);
  }

  static observerOf(target: object): MapObserver<unknown, unknown> | undefined {
    return #observer in target ? target.#observer : undefined;
  }
}

export function observedSet<T>(observer: SetObserver<T>): Set<T> {
  return new ObservedSet(observer);
}

export function observedMap<K, V>(observer: MapObserver<K, V>): Map<K, V> {
  return new ObservedMap(observer);
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
