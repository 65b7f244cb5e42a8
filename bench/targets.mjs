/*
 * What to reach, as ratios to the peer in the same run. `isMost`: the ratio may be at most that (costs); else it has to be
 * at least that. `speed`: the ratio is how many times as fast. `absolute`: ours alone.
 */
export const targets = [
  { what: "upstream 100 B, messages/s", cases: /^upstream\/100 B/, key: "per_second", least: 2.5, aim: 4 },
  { what: "upstream 100 B, CPU per message", cases: /^upstream\/100 B/, key: "cpu_us", isMost: true, least: 0.5, aim: 0.3 },
  { what: "upstream 16 KiB, messages/s", cases: /^upstream\/16 KiB/, key: "per_second", least: 3.5, aim: "JSON.parse alone" },
  { what: "upstream, JS thread per message", cases: /^upstream\//, key: "js_us", isMost: true, least: 0.35, aim: "JSON.parse and the handler" },
  { what: "send to many, sends/s", cases: /^send\/many/, key: "per_second", least: 4, aim: 7 },
  { what: "broadcast to 1,000, JS thread blocked", cases: /^broadcast\/1,000/, key: "blocked_ms", isMost: true, least: 0.01, aim: 0.001 },
  { what: "broadcast to 1,000, total time", cases: /^broadcast\/1,000/, key: "total_ms", speed: true, least: 4, aim: 5 },
  { what: "broadcast to 10,000, total time", cases: /^broadcast\/10,000/, key: "total_ms", speed: true, least: 1.4, aim: 2 },
  { what: "registrations/s", cases: /^registrations/, key: "per_second", least: 4, aim: 6 },
  { what: "RSS per idle worker", cases: /^idle\//, key: "rss_each", isMost: true, least: 0.6, aim: 0.3 },
  { what: "RSS per worker after a 60 KB message", cases: /^after 60 KB\//, key: "rss_each", isMost: true, least: 0.3, aim: "back to idle" },
  { what: "heartbeat, JS thread us each", cases: /^heartbeats\/at/, key: "js_us", absolute: true, isMost: true, least: 0.02, aim: 0.02 },
  { what: "requests at equal load, p99", cases: /^requests\/.*(?:flight|a second)/, key: "p99_us", isMost: true, least: 0.5, aim: 0.3 },
  { what: "getAvailableWorker at 10 workers", cases: /^calls\/10 workers, 1 model/, key: "select", speed: true, least: 1, aim: 1 },
  { what: "getAvailableWorker at 10,000 workers", cases: /^calls\/10,000 workers/, key: "select", speed: true, least: 500, aim: 500 },
  { what: "getAvailableWorker at 100,000 workers", cases: /^calls\/100,000 workers/, key: "select", speed: true, least: 5000, aim: 5000 },
  { what: "getAvailableWorker, ns", cases: /^calls\//, key: "select", absolute: true, isMost: true, least: "flat", aim: 300 },
  { what: "track and release at 10,000 workers", cases: /^calls\/10,000 workers/, key: "trackRelease", speed: true, least: 500, aim: "flat" },
  { what: "HTTP through a handler, requests/s", cases: /^http\/handler/, key: "per_second", least: 1, aim: 1.15 },
  { what: "native health route, requests/s", cases: /^http\/native/, key: "per_second", least: 4, aim: 6 },
];
