/** Three digits that matter, thousands apart. */
export function number(value) {
  if (value === undefined || !Number.isFinite(value)) return "-";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return size < 0.001 ? value.toPrecision(1) : value.toFixed(digits);
}

export function times(value) {
  return Number.isFinite(value) ? `${number(value)}x` : "-";
}

export function percent(value) {
  return value === undefined ? "-" : `${Math.round(value * 100)}%`;
}

export function range(summary) {
  return summary === undefined
    ? "-"
    : `${number(summary.median)} (${number(summary.min)}–${number(summary.max)})`;
}
