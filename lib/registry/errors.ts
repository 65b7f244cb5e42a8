/** Codes of the registry's errors. */
export type RegistryErrorCode =
  | "WORKER_NOT_FOUND"
  | "WORKER_NO_CAPACITY"
  | "RESERVATION_NOT_FOUND"
  | "REGISTRY_CLOSED"
  | "STORE_CLOSED"
  | "STORE_FULL"
  | "STORE_IN_USE"
  | "STORE_WRITE_FAILED"
  | "STORE_INVALID_ANSWER"
  | "WORKER_RECORD_CORRUPT"
  | "ERR_ENGINE_UNAVAILABLE"
  | "ERR_ENGINE_AUTH"
  | "ERR_ENGINE_VERSION"
  | "ERR_ENGINE_REFUSED";

/** An error of the registry: a plain `Error` with a code. */
export interface RegistryError extends Error {
  code: RegistryErrorCode;
}

export function registryError(
  code: RegistryErrorCode,
  message: string,
  options?: { cause: unknown },
): RegistryError {
  return Object.assign(new Error(message, options), { code });
}

export function workerNotFound(workerId: unknown): RegistryError {
  return registryError("WORKER_NOT_FOUND", `Worker ${String(workerId)} not found`);
}

/** The text of an error, also of another realm (as in a test runner, where it is no instance of `Error`). */
export function messageOf(thrown: unknown): string {
  const message = (thrown as { message?: unknown } | null | undefined)?.message;
  return typeof message === "string" ? message : String(thrown);
}

export function hasCode(error: unknown, code: RegistryErrorCode): boolean {
  return error instanceof Error && (error as Partial<RegistryError>).code === code;
}
