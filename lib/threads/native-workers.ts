import { WorkerRecord } from "./worker-record.js";

/**
 * The workers of tasks that run in Rust, by their slots. Events show them; `getWorkerStatus` and the metrics do not, since
 * they are no threads of the pool.
 */
export class NativeWorkers {
  readonly #bySlot = new Map<number, WorkerRecord>();
  #nextId = 1;

  of(slot: number): WorkerRecord {
    const existing = this.#bySlot.get(slot);
    if (existing !== undefined) return existing;
    const record = new WorkerRecord(`native-${String(this.#nextId++)}`);
    record.online = true;
    this.#bySlot.set(slot, record);
    return record;
  }

  forget(slot: number): void {
    this.#bySlot.delete(slot);
  }
}
