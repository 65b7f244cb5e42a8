import { readFileSync } from "node:fs";

/** What the process has used so far. CPU times are for the generator to read from /proc, thread by thread. */
export function processStats() {
  const { idle, active } = performance.eventLoopUtilization();
  return {
    pid: process.pid,
    now: performance.now(),
    elu: { idle, active },
    rss: residentBytes(),
    heapUsed: process.memoryUsage().heapUsed,
  };
}

/** Several rounds with a turn between them: what finalizers let go is collected too. */
export async function collectGarbage() {
  for (let round = 0; round < 4; round++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Includes what native threads and allocators hold. */
function residentBytes() {
  const status = readFileSync("/proc/self/status", "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
}
