/** Deeper values are not looked at. */
const MOST_LEVELS = 32;
/** Longer arrays are not looked at: listing their keys costs more than the other form. */
const MOST_ITEMS = 256;

/**
 * Whether `JSON.parse(JSON.stringify(value))` is what the structured clone algorithm would make of a value: only plain
 * objects, dense arrays, strings, booleans, null and numbers that JSON can express, and no object in two places.
 */
export function isPlainJson(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return isPlainScalar(value);
  return isPlain(value, new Set(), MOST_LEVELS);
}

function isPlainScalar(value: unknown): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    default:
      return value === null;
  }
}

function isPlain(value: object, seen: Set<object>, levels: number): boolean {
  if (levels === 0 || seen.has(value)) return false;
  seen.add(value);
  return Array.isArray(value) ? isPlainArray(value, seen, levels) : isPlainObject(value, seen, levels);
}

function isPlainArray(array: unknown[], seen: Set<object>, levels: number): boolean {
  const { length } = array;
  if (length > MOST_ITEMS || Object.getPrototypeOf(array) !== Array.prototype) return false;
  for (let index = 0; index < length; index++) {
    const item = array[index];
    // A hole reads as undefined, which is not plain.
    if (typeof item === "object" && item !== null ? !isPlain(item, seen, levels - 1) : !isPlainScalar(item))
      return false;
  }
  // JSON would lose properties beside the items.
  return Object.keys(array).length === length;
}

function isPlainObject(object: object, seen: Set<object>, levels: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype) return false;
  for (const key in object) {
    const item = (object as Record<string, unknown>)[key];
    if (typeof item === "object" && item !== null ? !isPlain(item, seen, levels - 1) : !isPlainScalar(item))
      return false;
  }
  return true;
}
