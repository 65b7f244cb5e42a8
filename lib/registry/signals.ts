/** One handler per signal for all registries of the process. */
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

const stops = new Set<() => void>();

/** Calls `stop` when the process gets a signal that ends it, until the result is called. */
export function onSignals(stop: () => void): () => void {
  if (stops.size === 0) for (const signal of SIGNALS) process.on(signal, handle);
  stops.add(stop);
  return () => {
    if (stops.delete(stop) && stops.size === 0) detach();
  };
}

function handle(signal: NodeJS.Signals): void {
  for (const stop of [...stops]) stop();
  stops.clear();
  detach();
  // A listener of the application decides what becomes of the process; without one the signal has to end it.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function detach(): void {
  for (const signal of SIGNALS) process.off(signal, handle);
}
