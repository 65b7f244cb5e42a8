/** Functions that are called one after the other; what one throws does not keep the next from being called. */
export class Handlers {
  #handlers = new Set();

  add(handler) {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  call(...args) {
    for (const handler of this.#handlers) {
      try {
        handler(...args);
      } catch (error) {
        console.error("error in a handler:", error);
      }
    }
  }
}
