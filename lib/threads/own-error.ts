import { errorMessage } from "../logger.js";

/**
 * An error of this realm for whatever was thrown. What looks like an error of Node's own realm becomes a copy, since in a
 * test runner's realm it is no instance of `Error`.
 */
export function ownError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (!isErrorLike(thrown)) return new Error(errorMessage(thrown));
  const { name, message, stack, code } = thrown;
  const error = new Error(message);
  if (typeof name === "string" && name !== "Error") Object.defineProperty(error, "name", hidden(name));
  if (typeof stack === "string") Object.defineProperty(error, "stack", hidden(stack));
  return code === undefined ? error : Object.assign(error, { code });
}

function isErrorLike(
  thrown: unknown,
): thrown is { name?: unknown; message: string; stack?: unknown; code?: unknown } {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    typeof (thrown as { message?: unknown }).message === "string"
  );
}

function hidden(value: string): PropertyDescriptor {
  return { value, configurable: true, writable: true, enumerable: false };
}
