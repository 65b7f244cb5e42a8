import { ownError } from "./own-error.js";
import type { ErrorFields } from "./runtime/messages.js";

/** An error of a task as its callback sees it: as it was on the worker, with the ids of both. */
export function taskError(content: string | Uint8Array | undefined, taskId: string, workerId: string): Error {
  return Object.assign(ownError(fieldsOf(content)), { taskId, workerId });
}

function fieldsOf(content: string | Uint8Array | undefined): ErrorFields {
  if (typeof content !== "string") return { name: "Error", message: "the task failed" };
  return JSON.parse(content) as ErrorFields;
}
