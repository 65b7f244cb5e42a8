import type { ErrorFields } from "./runtime/messages.js";

/** An error of a task as its callback sees it: as it was on the worker, with the ids of both. */
export function taskError(content: string | Uint8Array | undefined, taskId: string, workerId: string): Error {
  const { name, message, stack, code } = fieldsOf(content);
  const error = new Error(message);
  if (name !== "Error") define(error, "name", name);
  if (stack !== undefined) define(error, "stack", stack);
  if (code !== undefined) Object.assign(error, { code });
  return Object.assign(error, { taskId, workerId });
}

function fieldsOf(content: string | Uint8Array | undefined): ErrorFields {
  if (typeof content !== "string") return { name: "Error", message: "the task failed" };
  return JSON.parse(content) as ErrorFields;
}

function define(error: Error, key: string, value: string): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false });
}
