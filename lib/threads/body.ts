import { deserialize, serialize } from "node:v8";
import { isPlainJson } from "./plain-json.js";
import { BodyKind } from "./native.js";

/** A value that is written down. */
export interface Body {
  readonly kind: BodyKind;
  readonly content: string | Uint8Array | undefined;
}

const nothing: Body = { kind: BodyKind.Nothing, content: undefined };

/**
 * Writes a value down. Plain data becomes JSON, which is the fastest form; all else takes the form of the structured
 * clone algorithm.
 *
 * @throws what cannot be written down may still be sendable with `postMessage`
 */
export function written(value: unknown): Body {
  if (value === undefined) return nothing;
  if (isPlainJson(value)) return { kind: BodyKind.Text, content: JSON.stringify(value) };
  return { kind: BodyKind.Bytes, content: serialize(value) };
}

/** Reads what {@link written} has written. */
export function read(kind: BodyKind, content: string | Uint8Array | undefined): unknown {
  if (content === undefined) return undefined;
  if (kind === BodyKind.Text) return JSON.parse(content as string) as unknown;
  return deserialize(content as Uint8Array) as unknown;
}
