import { driven } from "../lib/measure.mjs";

const times = [
  { key: "p50_us", title: "p50 us" },
  { key: "p99_us", title: "p99 us" },
  { key: "p999_us", title: "p99.9 us" },
];

/** Request and response, from the server's send to its handler. */
export function requestCases({ quick }) {
  const contenders = quick ? ["ours", "peer"] : ["ours", "peer", "helped"];
  const timing = quick ? { warmup: 600, seconds: 1 } : { warmup: 1000, seconds: 2.5 };
  const all = [
    { id: "requests/1 worker, 1 in flight", workers: 1, inflight: 1 },
    { id: "requests/16 workers, 64 in flight", workers: 16, inflight: 4 },
    { id: "requests/256 workers, 1,024 in flight", workers: 256, inflight: 4 },
    { id: "requests/64 workers, 10,000 a second", workers: 64, rate: 10_000 },
    { id: "requests/selected among 1,000 workers", workers: 1000, inflight: 1, select: true },
  ];
  return all.filter((_, index) => !quick || index !== 2).map((one) => requests(one, timing, contenders));
}

function requests({ id, ...options }, timing, contenders) {
  const rate = { key: "per_second", title: "requests/s" };
  return {
    id,
    contenders,
    // At a rate that is given, how many there are says nothing.
    figures: options.rate ? times : [rate, ...times],
    run: driven("requests", { ...options, ...timing }),
  };
}
