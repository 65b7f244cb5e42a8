import type { MessagePort } from "node:worker_threads";

/** What a thread of a pool is started with, as its `workerData`. */
export interface ThreadSetup {
  /** Marks the setup, so that nothing else is taken for one. */
  readonly isWorkerServerNativeThread: true;
  readonly pool: number;
  readonly slot: number;
  readonly control: MessagePort;
  /** Names of the task types, in the order of their numbers. */
  readonly taskTypes: readonly string[];
  /** URL of the script that runs all tasks. */
  readonly script: string | undefined;
  /** Modules by task type. */
  readonly handlers: Readonly<Record<string, { url: string; name: string | undefined }>>;
  /** What the script sees as its `workerData`. */
  readonly workerData: unknown;
}

/** To a thread, over its control port. */
export type ToThread =
  | { readonly kind: "ping"; readonly sequence: number }
  | { readonly kind: "abort"; readonly task: number; readonly reason: string }
  | {
      readonly kind: "payload";
      readonly task: number;
      readonly port: MessagePort | undefined;
      readonly dependencyResults: Record<string, unknown> | undefined;
    };

/** From a thread, over its control port. */
export type FromThread =
  | { readonly kind: "ready"; readonly memory: number }
  | { readonly kind: "pong"; readonly sequence: number; readonly memory: number }
  | { readonly kind: "heartbeat"; readonly memory: number }
  | { readonly kind: "posted"; readonly task: number; readonly value: unknown };

/** An error on its way to the manager. */
export interface ErrorFields {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
}

/** The message with which a script is told of a task. */
export interface TaskMessage {
  readonly type: "task";
  readonly taskId: string;
  readonly payload: unknown;
  readonly taskType: string;
  readonly metadata?: Record<string, unknown>;
  /** Attempts so far, this one included. */
  readonly attempt: number;
  /** Milliseconds the attempt may run; `Infinity`: no limit. */
  readonly timeout: number;
  readonly dependencyResults?: Record<string, unknown>;
}
