/** Median, least and most of one value over the samples; nothing without a sample that has it. */
export function summary(samples, key) {
  const values = samples.map((sample) => sample[key]).filter((value) => Number.isFinite(value));
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { median: middle, min: sorted[0], max: sorted.at(-1) };
}

/** Ours to another's: how many times as much, or for a `speed` how many times as fast. */
export function ratio({ key, speed }, ours, other) {
  const [a, b] = [summary(ours, key)?.median, summary(other, key)?.median];
  if (a === undefined || b === undefined) return undefined;
  return speed ? b / a : a / b;
}
