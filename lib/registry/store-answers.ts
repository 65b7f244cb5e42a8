/** Checks of what a store answers, which may be anything. */
import { registryError } from "./errors.js";
import type { RegistryError } from "./errors.js";
import type { MemoryStore } from "./types.js";

/** A value of a store; null: there is none. */
export async function valueOf(memory: MemoryStore, key: string): Promise<string | null> {
  const value: unknown = await memory.get(key);
  if (value === null || value === undefined) return null;
  if (typeof value !== "string") throw invalidAnswer(`get(${JSON.stringify(key)})`, value);
  return value;
}

/** The keys of a store with this prefix. */
export async function keysOf(memory: MemoryStore, prefix: string): Promise<string[]> {
  const keys: unknown = await memory.list(prefix);
  if (!Array.isArray(keys)) throw invalidAnswer(`list(${JSON.stringify(prefix)})`, keys);
  return keys.filter((key): key is string => typeof key === "string" && key.startsWith(prefix));
}

export function corruptRecord(key: string, reason: string): RegistryError & { key: string } {
  const error = registryError("WORKER_RECORD_CORRUPT", `The value of ${key} is no record: ${reason}`);
  return Object.assign(error, { key });
}

function invalidAnswer(call: string, answer: unknown): RegistryError {
  return registryError("STORE_INVALID_ANSWER", `The store answered ${call} with ${typeof answer}`);
}
