/** A second signal within this time forces the end. */
const SECOND_SIGNAL_MS = 5000;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Calls `drain` on the first SIGINT or SIGTERM, and `force` on a second one within 5 s. After that the signals do again
 * what they do by default. Returns a function that takes the listeners off.
 */
export function handleSignals(drain: () => void, force: () => void): () => void {
  let firstAt: number | undefined;
  const listener = (): void => {
    const now = performance.now();
    if (firstAt === undefined || now - firstAt > SECOND_SIGNAL_MS) {
      firstAt = now;
      drain();
    } else {
      remove();
      force();
    }
  };
  const remove = (): void => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return remove;
}
