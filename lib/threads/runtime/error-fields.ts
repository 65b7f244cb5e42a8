import type { ErrorFields } from "./messages.js";

/** Errors that no repetition can mend carry this. */
const FINAL = Symbol("worker-server-native.final-error");

/** An error after which the task is not repeated. */
export function finalError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code, [FINAL]: true });
}

export function isFinalError(error: unknown): boolean {
  return typeof error === "object" && error !== null && FINAL in error;
}

/** What is told of an error, whatever was thrown. */
export function errorFields(thrown: unknown): ErrorFields {
  try {
    if (typeof thrown !== "object" || thrown === null) return { name: "Error", message: String(thrown) };
    const { name, message, stack, code } = thrown as Record<string, unknown>;
    return {
      name: typeof name === "string" ? name : "Error",
      message: typeof message === "string" ? message : "the task failed",
      ...(typeof stack === "string" && { stack }),
      ...((typeof code === "string" || typeof code === "number") && { code }),
    };
  } catch {
    return { name: "Error", message: "the task failed with a value that cannot be read" };
  }
}
