/**
 * Sets and Maps that users hold and may edit, while the native core keeps the same content.
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
  set(key: K, value: V): void;
  deleted(key: K): void;
}

const setObservers = new WeakMap<object, SetObserver<never>>();
const mapObservers = new WeakMap<object, MapObserver<never, never>>();

const hidden = (value: unknown): PropertyDescriptor => ({ value, writable: true, configurable: true });

const setMethods: PropertyDescriptorMap = {
  add: hidden(function (this: Set<never>, value: never) {
    if (!this.has(value)) setObservers.get(this)?.added(value);
    return add.call(this, value);
  }),
  delete: hidden(function (this: Set<never>, value: never) {
    if (this.has(value)) setObservers.get(this)?.deleted(value);
    return deleteFromSet.call(this, value);
  }),
  clear: hidden(function (this: Set<never>) {
    for (const value of this) setObservers.get(this)?.deleted(value);
    clearSet.call(this);
  }),
};

const mapMethods: PropertyDescriptorMap = {
  set: hidden(function (this: Map<never, never>, key: never, value: never) {
    mapObservers.get(this)?.set(key, value);
    return set.call(this, key, value);
  }),
  delete: hidden(function (this: Map<never, never>, key: never) {
    if (this.has(key)) mapObservers.get(this)?.deleted(key);
    return deleteFromMap.call(this, key);
  }),
  clear: hidden(function (this: Map<never, never>) {
    for (const key of this.keys()) mapObservers.get(this)?.deleted(key);
    clearMap.call(this);
  }),
};

export function observedSet<T>(observer: SetObserver<T>): Set<T> {
  const created = new Set<T>();
  setObservers.set(created, observer as SetObserver<never>);
  return Object.defineProperties(created, setMethods);
}

export function observedMap<K, V>(observer: MapObserver<K, V>): Map<K, V> {
  const created = new Map<K, V>();
  mapObservers.set(created, observer as MapObserver<never, never>);
  return Object.defineProperties(created, mapMethods);
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
