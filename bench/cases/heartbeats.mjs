import { driven } from "../lib/measure.mjs";

/** At a rate, for what each costs; and as fast as they are answered. */
export function heartbeatCases({ quick }) {
  const timing = quick ? { warmup: 500, seconds: 1 } : { warmup: 1000, seconds: 3 };
  return [
    {
      id: "heartbeats/at 10,000 a second, 1,000 workers",
      figures: [{ key: "p99_us", title: "p99 us" }],
      run: driven("heartbeats", { workers: 1000, rate: 10_000, ...timing }),
    },
    {
      id: "heartbeats/closed loop, 256 workers",
      figures: [{ key: "per_second", title: "heartbeats/s" }],
      run: driven("heartbeats", { workers: 256, rate: 0, ...timing }),
    },
  ];
}
