import { types } from "node:util";
import { DefaultSerializer, deserialize } from "node:v8";
import { BodyKind } from "./native.js";
import { isPlainJson } from "./plain-json.js";

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
  const serializer = new CloneSerializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  return { kind: BodyKind.Bytes, content: serializer.releaseBuffer() };
}

/** Reads what {@link written} has written. */
export function read(kind: BodyKind, content: string | Uint8Array | undefined): unknown {
  if (content === undefined) return undefined;
  if (kind === BodyKind.Text) return JSON.parse(content as string) as unknown;
  return deserialize(content as Uint8Array) as unknown;
}

/** Refuses views of shared memory, which would become copies. */
class CloneSerializer extends DefaultSerializer {
  // Node calls it for typed arrays and for objects that only `postMessage` can send.
  _writeHostObject(object: unknown): void {
    if (ArrayBuffer.isView(object) && types.isSharedArrayBuffer(object.buffer))
      throw new TypeError("shared memory cannot be written down");
    writeHostObject.call(this, object);
  }
}

const writeHostObject = (
  DefaultSerializer.prototype as unknown as {
    _writeHostObject(this: DefaultSerializer, object: unknown): void;
  }
)._writeHostObject;
