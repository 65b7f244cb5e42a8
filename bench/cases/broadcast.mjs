import { driven } from "../lib/measure.mjs";

const figures = [
  { key: "total_ms", title: "total ms", speed: true },
  { key: "blocked_ms", title: "JS thread blocked, ms" },
];

/** One message to everyone: how long the call takes, and how long until the last one has it. */
export function broadcastCases({ quick }) {
  return [
    { workers: 1000, count: quick ? 40 : 100 },
    { workers: 10_000, count: quick ? 8 : 20 },
  ].map(({ workers, count }) => ({
    id: `broadcast/${workers.toLocaleString("en-US")} workers`,
    figures,
    run: driven("broadcast", { workers, count, size: 100 }),
  }));
}
