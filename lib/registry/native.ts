/**
 * The native side of a registry, and what the places of its arrays mean. `src/raw/registry.rs` has the same places.
 */
import { binding } from "../native.js";

export { binding };
export type { NativeRankingConfig, NativeStoreEvent } from "../../native/binding.js";

/** Bits of what a change returns. */
export const enum StatusBit {
  NotFound = 1,
  NoCapacity = 2,
  HasEvents = 4,
  WriteFailed = 8,
}

/** What is asked. */
export const enum QuestionKind {
  Discover,
  Rank,
  Acquire,
  AcquireLease,
  Get,
}

/** Places of a question. */
export const enum Question {
  Kind,
  Ranking,
  Now,
  Ttl,
  /** Slots to reserve, or most workers. */
  Number,
  /** NaN: workers may be overbooked. */
  MinAvailable,
  /** A bit for each health; 0: any. */
  Health,
  Lease,
}

/** Places of an answer. */
export const enum Answer {
  Status = 8,
  /** Workers that were found and are not in the array. */
  Left,
  /** Workers in the array. */
  Taken,
  LeaseEnd,
  FirstWorker,
}

/** Places of a worker. */
export const enum WorkerPlace {
  MaxConcurrentTasks,
  CurrentTasks,
  Health,
  LastHeartbeat,
  StartedAt,
  TasksCompleted,
  TasksFailed,
  AverageTaskDuration,
  Priority,
  IsDraining,
  CapabilityCount,
  Length,
}

/** Workers that are handed over at once. */
const PAGE = 64;

/** Doubles of a question and its answer. */
export const PLACES = Answer.FirstWorker + WorkerPlace.Length * PAGE;

/** What an event of a store is. */
export const enum StoreEventKind {
  Registered,
  Unregistered,
  HealthChanged,
  KeyChanged,
}
