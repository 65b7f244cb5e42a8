import { ownError } from "./own-error.js";

/** What is used of a thread to follow its life. */
export interface Endable {
  on(event: string, listener: (value: any) => void): unknown;
  terminate(): Promise<number>;
}

/** The life of a thread: what ended it, and how to end it. Pools and tasks share it. */
export class ThreadHandle {
  readonly #worker: Endable;
  readonly #ended: Promise<void>;
  #hasEnded = false;
  #error: Error | undefined;

  /** `onExit` gets the exit code and what ended the thread, if anything did. It is called once. */
  constructor(worker: Endable, onExit: (code: number, error: Error | undefined) => void) {
    this.#worker = worker;
    worker.on("error", (error: unknown) => {
      this.#error ??= ownError(error);
    });
    this.#ended = new Promise((resolve) => {
      worker.on("exit", (code: number) => {
        this.#hasEnded = true;
        onExit(code, this.#error);
        resolve();
      });
    });
  }

  /** Ends the thread, whatever it does. Resolves when it has ended. */
  async terminate(): Promise<void> {
    if (this.#hasEnded) return;
    void this.#worker.terminate();
    await this.#ended;
  }
}
