import { binding } from "./native.js";

/** Whether two strings are equal, in a time that tells neither where they differ nor how long they are. */
export function safeCompare(a: string, b: string): boolean {
  return typeof a === "string" && typeof b === "string" && binding.safeCompare(a, b);
}
