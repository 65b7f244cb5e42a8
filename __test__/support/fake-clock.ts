import type { WorkerServer } from "../../index.js";
import { infoOf } from "./infos";

/**
 * Replaces `Date`, `setTimeout` and `setInterval` of this realm; what real sockets and `until` live
 * on stays real. Call it before `startServer`, and `jest.useRealTimers()` after `stopServers`.
 */
export function useFakeClock(): void {
  jest.useFakeTimers({
    doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance", "hrtime"],
  });
}

/**
 * Runs exactly one health check, at the moment the worker's last heartbeat is `age` ms old.
 * `intervalMs` is the server's `healthCheckIntervalMs`; time must not have been advanced by
 * anything but whole intervals before.
 */
export function checkAtAge(
  server: WorkerServer,
  age: number,
  intervalMs: number,
  workerId: unknown = "worker-1",
): void {
  const last = infoOf(server, workerId).lastHeartbeat.getTime();
  jest.setSystemTime(last + age - intervalMs);
  jest.advanceTimersByTime(intervalMs);
}
