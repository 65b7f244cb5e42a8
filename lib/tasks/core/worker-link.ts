import type { WorkerSource } from "./worker-config.js";

/** What a running script tells. Nothing follows `onFailure`, nor the link's `close`. */
export interface LinkEvents {
  onMessage(data: unknown): void;
  /** The script failed: the reason to show, and what was thrown or reported. */
  onFailure(reason: string | undefined, cause: unknown): void;
  /** The script ended without an error. */
  onExit(code: number): void;
}

/** A running worker script: a Web Worker or a thread. */
export interface WorkerLink {
  /** @throws what the clone of the message throws */
  post(message: unknown, transfer: readonly object[]): void;
  /** Ends the script, whatever it does. No event follows. */
  close(): void;
  /** Whether the worker keeps the process alive. Says nothing in a browser. */
  keepAlive(isNeeded: boolean): void;
}

/** Starts a worker. Throws what the constructor of the worker throws. */
export type OpenLink<W> = (source: WorkerSource<W>, events: LinkEvents) => WorkerLink;
