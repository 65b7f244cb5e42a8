import { types } from "node:util";
import { errorMessage } from "../logger.js";

/**
 * An error of this realm for whatever was thrown. Errors of Node's own realm become copies, since in a test runner's
 * realm they are no instances of `Error`.
 */
export function ownError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (!types.isNativeError(thrown)) return new Error(errorMessage(thrown));
  const { name, message, stack, code } = thrown as Error & { code?: unknown };
  const error = new Error(message);
  if (name !== "Error") Object.defineProperty(error, "name", hidden(name));
  if (stack !== undefined) Object.defineProperty(error, "stack", hidden(stack));
  return code === undefined ? error : Object.assign(error, { code });
}

function hidden(value: string): PropertyDescriptor {
  return { value, configurable: true, writable: true, enumerable: false };
}
