/** Handlers in order of subscription, each once. During a call, removed ones are skipped and added ones are reached. */
export class Handlers<A extends unknown[]> {
  protected readonly handlers = new Set<(...args: A) => unknown>();

  get isEmpty(): boolean {
    return this.handlers.size === 0;
  }

  /** Returns the function that takes it out again. */
  add(handler: (...args: A) => unknown): () => void {
    this.handlers.add(handler);
    return () => {
      this.handlers.delete(handler);
    };
  }

  /**
   * Calls all of them; what one throws, or its promise is rejected with, goes to `onThrow` and does not keep the next from
   * being called.
   */
  call(args: A, onThrow: (thrown: unknown) => void): void {
    for (const handler of this.handlers) {
      try {
        const result = handler(...args);
        if (result instanceof Promise) result.catch(onThrow);
      } catch (thrown) {
        onThrow(thrown);
      }
    }
  }
}
