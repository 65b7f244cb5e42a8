import type { Fleet } from "./fleet.js";
import type { Logger } from "./logger.js";
import { binding, WorkerView } from "./native.js";
import type { Home } from "./session.js";
import { statusOf, WorkerStatus } from "./worker-status.js";

/** Every so often marks workers that went silent, and closes those that stay so. Runs on the realm's own timers and clock. */
export class HealthCheck {
  readonly #home: Home;
  readonly #fleet: Fleet;
  readonly #timeoutMs: number;
  readonly #logger: Logger;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(home: Home, fleet: Fleet, timeoutMs: number, logger: Logger) {
    this.#home = home;
    this.#fleet = fleet;
    this.#timeoutMs = timeoutMs;
    this.#logger = logger;
  }

  start(intervalMs: number): void {
    this.#timer = setInterval(() => this.run(), intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  run(): void {
    const now = Date.now();
    const { number, view } = this.#home;
    binding.observeClock(number, now);
    for (const session of this.#fleet.values()) session.tellEditedHeartbeat();
    let left = binding.checkHealth(number, now, this.#timeoutMs);
    for (; left > 0; left--) {
      const found = binding.nextOverdue(number);
      const slot = Math.floor(found);
      const status = statusOf(view[WorkerView.Status]!);
      const timeSinceHeartbeat = now - view[WorkerView.LastHeartbeat]!;
      // A logger that stops the server empties the pool under this loop.
      const workerId = this.#fleet.at(slot)?.id;
      if (workerId === undefined) continue;
      if (status !== WorkerStatus.Unhealthy) {
        binding.setStatus(number, slot, 3);
        const context = { workerId, timeSinceHeartbeat, threshold: this.#timeoutMs };
        this.#logger.warn("Worker heartbeat timeout", context);
      }
      if (found > slot) {
        this.#logger.warn("Worker connection presumed dead, closing", { workerId });
        binding.close(number, slot, 4003, "Heartbeat timeout");
      }
    }
  }
}
