const faster = (name, least) => ({
  what: `${name}: calls/s against the peer`,
  name,
  key: "per_second",
  against: ["peer"],
  least,
});

/* What to reach; bench/lib/suite.mjs says how each is read. */
export const targets = [
  faster("heartbeat", 5),
  faster("updateTaskCount", 5),
  faster("recordTaskCompletion", 5),
  faster("load balancing, a capability that 1 % have", 50),
  {
    what: "limit: 1: calls/s at 100,000 workers against 100",
    name: "load balancing with limit: 1 as workers grow",
    key: "flatness",
    absolute: true,
    least: 0.5,
    aim: "1.0",
  },
  {
    what: "tryAcquire: calls/s at 100,000 workers against 100",
    name: "tryAcquire as workers grow",
    key: "flatness",
    absolute: true,
    least: 0.5,
    aim: "1.0",
  },
  {
    what: "memory per worker against the peer",
    name: "memory per worker",
    key: "bytes",
    against: ["peer"],
    isMost: true,
    least: 0.6,
  },
  {
    what: "on Redis: tryAcquire/s, 256 in flight, 10,000 workers",
    name: "on Redis: tryAcquire, 256 in flight",
    key: "per_second",
    absolute: true,
    least: 10_000,
    aim: "28,000",
  },
  {
    what: "on Redis: p50 of tryAcquire against a plain GET through the same client",
    name: "on Redis: one at a time",
    key: "ratio",
    absolute: true,
    isMost: true,
    least: 2.5,
  },
];
