import { driven } from "../lib/measure.mjs";

const figures = [
  { key: "per_second", title: "sends/s" },
  { key: "call_ns", title: "ns per call" },
];

/** The server sends as fast as it can, until the last message has arrived. */
export function sendCases({ quick }) {
  const contenders = quick ? ["ours", "peer"] : ["ours", "peer", "helped"];
  const count = quick ? 100_000 : 300_000;
  return [
    { id: "send/one worker", workers: 1 },
    { id: "send/many: 1,000 workers in turn", workers: 1000 },
  ].map(({ id, workers }) => ({
    id,
    contenders,
    figures,
    run: driven("send", { workers, count, size: 100 }),
  }));
}
