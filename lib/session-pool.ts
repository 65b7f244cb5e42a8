import { SHUTTING_DOWN } from "./close-reasons.js";
import type { Fleet } from "./fleet.js";
import type { HealthCheck } from "./health-check.js";
import type { Session } from "./session.js";
import type { WorkerInfo } from "./types.js";
import type { WorkerPool } from "./worker-pool.js";

/**
 * The server's workers as a pool, for programs that reach for `server.pool`: the same questions as to a
 * {@link WorkerPool}, answered by the native one. Its workers are the live sessions; others cannot be added.
 */
export class SessionPool implements Omit<WorkerPool, "add"> {
  readonly #fleet: Fleet;
  readonly #healthCheck: HealthCheck;

  constructor(fleet: Fleet, healthCheck: HealthCheck) {
    this.#fleet = fleet;
    this.#healthCheck = healthCheck;
  }

  /** Takes a worker out and returns it; its connection is left alone. */
  remove(workerId: string): Session | undefined {
    const session = this.#fleet.get(workerId);
    if (session !== undefined) this.#fleet.remove(session);
    return session;
  }

  get(workerId: string): Session | undefined {
    return this.#fleet.get(workerId);
  }

  has(workerId: string): boolean {
    return this.#fleet.get(workerId) !== undefined;
  }

  values(): IterableIterator<Session> {
    return this.#fleet.values();
  }

  getAvailableWorker(model: string, category?: string): Session | null {
    return this.#sessionOf(this.#fleet.select(model, category));
  }

  getAnyAvailableWorker(): Session | null {
    return this.#sessionOf(this.#fleet.selectAny());
  }

  getAvailableSlotCount(model: string, category?: string): number {
    return this.#fleet.freeSlots(model, category);
  }

  getCount(): number {
    return this.#fleet.size;
  }

  getAvailableCount(): number {
    return this.#fleet.availableCount();
  }

  getWorkerInfoList(): WorkerInfo[] {
    return this.#fleet.infos();
  }

  trackRequest(workerId: string, requestId: string, category?: string): void {
    this.#fleet.track(workerId, requestId, category);
  }

  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void {
    this.#fleet.release(requestId, options?.incrementCompleted === true);
  }

  checkHealth(timeoutMs: number): string[] {
    return this.#healthCheck.check(timeoutMs).map((session) => session.id);
  }

  send(workerId: string, message: unknown): boolean {
    return this.#fleet.send(workerId, message);
  }

  broadcast(message: unknown): void {
    this.#fleet.broadcast(message);
  }

  closeAll(): void {
    for (const session of [...this.#fleet.values()]) {
      session.close(SHUTTING_DOWN);
      this.#fleet.remove(session);
    }
  }

  #sessionOf(info: WorkerInfo | null): Session | null {
    return info === null ? null : (this.#fleet.get(info.id) ?? null);
  }
}
