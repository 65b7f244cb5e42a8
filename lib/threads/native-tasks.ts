import { ownError } from "./own-error.js";
import type { ResolvedConfig } from "./config.js";
import { WorkerTaskType } from "./enums.js";
import { ValidationError } from "./errors.js";
import type { CheckedTask } from "./task-options.js";

/** A task that runs in Rust: what is asked as JSON, and the data. */
export interface NativeTask {
  readonly request: string;
  readonly data: Uint8Array;
}

type Fields = Record<string, unknown>;

const nativeTypes: ReadonlySet<WorkerTaskType> = new Set([
  WorkerTaskType.ANALYSIS,
  WorkerTaskType.COMPRESSION,
  WorkerTaskType.ENCRYPTION,
  WorkerTaskType.FILE_IO,
  WorkerTaskType.IMAGE_MANIPULATION,
]);

/** Bytes that travel as base64, since they are short. */
const shortBytes = ["aad", "iv", "key", "salt", "tag"];
const noData = new Uint8Array(0);

/** Whether tasks of a type run in Rust: unless the configuration has a script or a module for them. */
export function isNativeTask(type: WorkerTaskType, config: ResolvedConfig): boolean {
  return (
    nativeTypes.has(type) && config.workerScriptPath === undefined && config.handlers?.[type] === undefined
  );
}

/** @throws ValidationError if the payload is not one for this type, or an option means nothing to such a task */
export function nativeTask({ type, options }: CheckedTask, payload: unknown): NativeTask {
  for (const name of ["transferList", "passDependencyResults"] as const)
    if (options[name] !== undefined && options[name] !== false)
      throw new ValidationError(
        `${type} tasks run in Rust, where ${name} has no meaning`,
        name,
        options[name],
      );
  if (payload !== null && typeof payload !== "object")
    throw invalid("the payload must be an object", payload);
  const { data: given, ...fields } = (payload ?? {}) as Fields;
  const data = type === WorkerTaskType.ANALYSIS ? doublesOf(given) : dataOf(type, given, fields);
  for (const name of shortBytes) {
    const value = fields[name];
    if (value !== undefined) fields[name] = Buffer.from(bytesOf(name, value)).toString("base64");
  }
  try {
    return { request: JSON.stringify({ ...fields, type }), data };
  } catch (error) {
    throw invalid(ownError(error).message, payload);
  }
}

/** The result of a task as its callback sees it. */
export function nativeResult(
  { type, payload }: { type: WorkerTaskType; payload: unknown },
  json: string,
  data: Uint8Array | undefined,
): Fields {
  const fields = JSON.parse(json) as Fields;
  if (type !== WorkerTaskType.ENCRYPTION) return data === undefined ? fields : { data, ...fields };
  for (const name of ["iv", "tag"] as const) {
    const value = fields[name];
    if (typeof value === "string") fields[name] = Buffer.from(value, "base64");
  }
  if (data === undefined) return fields;
  return (payload as Fields).operation === "derive" ? { key: data } : { data, ...fields };
}

function dataOf(type: WorkerTaskType, given: unknown, fields: Fields): Uint8Array {
  const isImage = type === WorkerTaskType.IMAGE_MANIPULATION;
  const content = isImage ? (fields.image ?? given) : given;
  if (isImage && typeof content === "string") return noData;
  if (isImage) delete fields.image;
  const needsData = type !== WorkerTaskType.FILE_IO || fields.operation === "write";
  if (content === undefined && !needsData) return noData;
  return bytesOf(isImage ? "image" : "data", content);
}

/** Text is taken as UTF-8. */
function bytesOf(name: string, value: unknown): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isArrayBuffer(value)) return new Uint8Array(value);
  throw invalid(`${name} must be a string, a Buffer, a typed array or an ArrayBuffer`, value);
}

/** Also one of another realm. */
function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}

function doublesOf(given: unknown): Uint8Array {
  const values = given ?? [];
  const isNumeric =
    (ArrayBuffer.isView(values) && !(values instanceof DataView)) ||
    (Array.isArray(values) && values.every((value) => typeof value === "number"));
  if (!isNumeric) throw invalid("data must be an array of numbers", given);
  const doubles = Float64Array.from(values as ArrayLike<number>, Number);
  return new Uint8Array(doubles.buffer);
}

function invalid(message: string, value: unknown): ValidationError {
  return new ValidationError(`The payload cannot be handled: ${message}`, "payload", value);
}
