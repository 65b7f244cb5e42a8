import { virtualNow } from "./clock.js";
import { HEARTBEAT_TIMEOUT } from "./close-reasons.js";
import type { Fleet } from "./fleet.js";
import { binding, OverdueView } from "./native.js";
import type { Home, Session } from "./session.js";
import { WorkerStatus } from "./worker-status.js";

/**
 * Every so often marks workers that went silent, closes those that stay so, and at the next check drops those that are
 * still there. Runs on the realm's own timers and clock.
 */
export class HealthCheck {
  readonly #home: Home;
  readonly #fleet: Fleet;
  readonly #timeoutMs: number;
  /** Those that an earlier check told to close. */
  readonly #told = new WeakSet<Session>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(home: Home, fleet: Fleet, timeoutMs: number) {
    this.#home = home;
    this.#fleet = fleet;
    this.#timeoutMs = timeoutMs;
  }

  start(intervalMs: number): void {
    this.#timer = setInterval(() => this.run(), intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  run(): void {
    this.#fleet.tellAllEdits();
    for (const session of this.check(this.#timeoutMs)) {
      this.#home.logger.warn("Worker connection presumed dead, closing", { workerId: session.id });
      // A late worker has one interval to answer; a frozen one is not waited for any longer.
      if (this.#told.has(session)) session.abandon();
      else session.close(HEARTBEAT_TIMEOUT);
      this.#told.add(session);
    }
  }

  /** Marks the workers that are silent for more than the timeout; returns those presumed dead. */
  check(timeoutMs: number): Session[] {
    const now = virtualNow();
    const { number, view } = this.#home;
    binding.observeClock(number, now);
    for (const session of this.#fleet.values()) session.tellEditedHeartbeat();
    const dead: Session[] = [];
    for (let left = binding.checkHealth(number, now, timeoutMs); left > 0; left--) {
      const slot = binding.nextOverdue(number);
      const timeSinceHeartbeat = Math.floor(view[OverdueView.Silence]!);
      const isDead = view[OverdueView.IsDead] === 1;
      // A logger that stops the server empties the pool under this loop.
      const session = this.#fleet.at(slot);
      if (session === undefined) continue;
      if (session.status !== WorkerStatus.Unhealthy) {
        session.status = WorkerStatus.Unhealthy;
        const context = { workerId: session.id, timeSinceHeartbeat, threshold: timeoutMs };
        this.#home.logger.warn("Worker heartbeat timeout", context);
      }
      if (isDead) dead.push(session);
    }
    return dead;
  }
}
