/**
 * The native side of a thread pool, and what the places of its arrays mean. `src/raw/threads.rs` has the same places.
 */
import { binding } from "../native.js";

export { binding };
export type { NativeThreadPoolOptions } from "../../native/binding.js";

/** How a value travels between two threads. */
export const enum BodyKind {
  /** As nothing: `undefined`. */
  Nothing,
  /** As JSON. */
  Text,
  /** As `v8.serialize` writes it. */
  Bytes,
  /** As a message of its own, since it cannot be written down. */
  Posted,
  /** To a native thread as data, and from there as fields and data. */
  Native,
}

/** How an attempt ended. */
export const enum OutcomeKind {
  Completed,
  Failed,
  /** Failed, and must not be repeated. */
  FailedForGood,
}

/** Tasks of one lane run on the same kind of thread. */
export const enum Lane {
  Script,
  Native,
}

/** What a thread of the pool runs; a bit for each lane. */
export const SCRIPT_LANES = 1 << Lane.Script;

/** Places of the numbers of a submission. */
export const enum Submission {
  LaneNumber,
  Priority,
  Timeout,
  MaxRetries,
  RetryDelay,
  Number,
  TaskType,
  FairnessKey,
  HasFailedDependency,
  Length,
}

/** Places of the numbers of a task that a thread has taken. */
export const enum Taken {
  Task,
  Number,
  TaskType,
  RetryCount,
  Timeout,
  PayloadKind,
  HasExtra,
  Length,
}

/** Instead of a task. */
export const enum NoTask {
  Now = -1,
  Ever = -2,
}

/** What an action is. */
export const enum ActionKind {
  Assigned,
  Progress,
  Completed,
  Failed,
  Cancelled,
  DependencyFailed,
  Recycle,
}

/** Why an attempt failed. */
export const enum FailureKind {
  Error,
  Timeout,
  Crash,
}

/** Places of an action, behind the count of all. */
export const enum Action {
  Kind,
  Task,
  Slot,
  /** A time, or a progress. */
  At,
  Body,
  Failure,
  /** Delay of the retry; -1: there is none. */
  Delay,
  Attempt,
  Length,
}

/** Results of a cancellation that are not a slot. */
export const enum Cancellation {
  TooLate = -1,
  Cancelled = -2,
}

/** Places of what a look at a pool finds. */
export const enum PoolState {
  /** Milliseconds until the next look. */
  Wait,
  /** On the pool's clock. */
  Now,
  /** Threads to add; if negative, -1 minus the slot to retire. */
  Step,
  Pending,
  Ready,
  Length,
}

/** Places of the counts. */
export const enum Counts {
  Pending,
  Ready,
  Blocked,
  Running,
  Completed,
  Failed,
  Cancelled,
  TimedOut,
  Retried,
  MeanDuration,
  MeanQueueTime,
  Throughput,
  P50,
  P90,
  P99,
  Max,
  Length,
}
