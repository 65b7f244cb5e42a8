/** Median, least and most of one value over the samples; nothing without a sample that has it. */
export function summary(samples, key) {
  return summaryOf(samples.map((sample) => sample[key]));
}

/**
 * Ours to another's: how many times as much, or for a `speed` how many times as fast. The median over the rounds, in each
 * of which one was measured right after the other: machines that others use, too, are not as fast at all times.
 */
export function ratio({ key, speed }, ours, other) {
  const rounds = ours.slice(0, other.length).map((sample, round) => [sample[key], other[round][key]]);
  return summaryOf(rounds.map(([a, b]) => (speed ? b / a : a / b)))?.median;
}

function summaryOf(values) {
  const sorted = values.filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { median: middle, min: sorted[0], max: sorted.at(-1) };
}
