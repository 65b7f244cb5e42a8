import { driven } from "../lib/measure.mjs";

const figures = [
  { key: "total_ms", title: "total ms", speed: true },
  { key: "blocked_ms", title: "JS thread blocked, ms" },
];

/** A message to everyone: how long the call takes, and how long until the last one has it. */
export function broadcastCases({ quick }) {
  const some = quick ? 1 : 2;
  return [
    { workers: 1000, row: 1, count: 40 * some },
    { workers: 1000, row: 100, count: some },
    { workers: 10_000, row: 1, count: 5 * some },
    { workers: 10_000, row: 10, count: some },
  ].map(({ workers, row, count }) => ({
    id: `broadcast/${workers.toLocaleString("en-US")} workers, ${row === 1 ? "one at a time" : `${row} in a row`}`,
    figures,
    run: driven("broadcast", { workers, row, count, size: 100 }),
  }));
}
