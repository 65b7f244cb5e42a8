const pools = ["piscina", "tinypool", "workerpool", "poolifier"];

/*
 * What to reach, against the best of `against` in the same run. `isMost`: our cost may be at most that part of theirs;
 * `speed`: they take at least so many times as long; `absolute`: ours alone (at most, with `isMost`).
 */
export const targets = [
  {
    what: "empty tasks, 64 in flight: tasks/s against the best pool",
    name: "empty tasks, 64 in flight",
    key: "per_second",
    against: pools,
    least: 3,
  },
  {
    what: "empty tasks, 64 in flight: tasks/s against raw",
    name: "empty tasks, 64 in flight",
    key: "per_second",
    against: ["raw"],
    least: 1,
  },
  {
    what: "empty tasks, 64 in flight: CPU per task against the best pool",
    name: "empty tasks, 64 in flight",
    key: "cpu_us",
    against: pools,
    isMost: true,
    least: 0.4,
    aim: 0.25,
  },
  {
    what: "one at a time: p50 against raw",
    name: "one at a time",
    key: "p50_us",
    against: ["raw"],
    isMost: true,
    least: 1.2,
    aim: "1.0",
  },
  {
    what: "10 KiB objects each way: tasks/s against the best pool",
    name: "10 KiB objects each way",
    key: "per_second",
    against: pools,
    least: 2,
  },
  {
    what: "100,000 queued: total time against the best pool",
    name: "100,000 queued empty tasks",
    key: "ms",
    against: pools,
    isMost: true,
    least: 0.4,
  },
  {
    what: "bytes per queued task",
    name: "bytes per queued task",
    key: "bytes",
    against: ["piscina"],
    absolute: true,
    isMost: true,
    least: 400,
  },
  {
    what: "constructor to first result against the best pool",
    name: "constructor to first result",
    key: "ms",
    against: pools,
    speed: true,
    least: 1,
  },
  {
    what: "gzip: times as fast as node:zlib in piscina",
    name: "gzip of 1 MiB, 64 times",
    key: "ms",
    against: ["piscina"],
    speed: true,
    least: 1.3,
    aim: 2,
  },
  {
    what: "resize: times as fast as sharp in piscina",
    name: "resize of a 12-megapixel JPEG, 16 times",
    key: "ms",
    against: ["piscina"],
    speed: true,
    least: 0.8,
    aim: "1.0",
  },
];
