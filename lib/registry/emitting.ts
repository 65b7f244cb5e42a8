/** An emitter with an `error` event among others. */
interface ErrorEmitter {
  listenerCount(event: "error"): number;
  emit(event: "error", error: Error): boolean;
}

/** Calls listeners; what one throws is an uncaught error of the program, not of the registry. */
export function withoutThrowing(emit: () => void): void {
  try {
    emit();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** Emits `error`. Without a listener it is a warning: it must not end the process. */
export function emitError(emitter: ErrorEmitter, thrown: unknown): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (emitter.listenerCount("error") === 0) process.emitWarning(`Worker registry: ${error.message}`);
  else withoutThrowing(() => emitter.emit("error", error));
}
