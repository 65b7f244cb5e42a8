import type { WebWorkerLike } from "../core/types.js";
import type { WorkerSource } from "../core/worker-config.js";
import type { LinkEvents, WorkerLink } from "../core/worker-link.js";

/** The constructor of browsers. The types of Node do not have it. */
declare const Worker: new (
  script: string | URL,
  options: { type?: "classic" | "module"; name?: string },
) => WebWorkerLike;
declare const location: { href: string; origin: string } | undefined;

/** Starts a Web Worker. Throws what its constructor throws. */
export function openWebWorker(source: WorkerSource<WebWorkerLike>, events: LinkEvents): WorkerLink {
  const worker = source.create?.() ?? construct(source);
  let isOpen = true;
  const close = (): void => {
    isOpen = false;
    worker.terminate();
  };
  worker.addEventListener("message", ({ data }: { data: unknown }) => {
    if (isOpen) events.onMessage(data);
  });
  worker.addEventListener("error", (event: { message?: string; preventDefault(): void }) => {
    // The page's own handler of errors does not get it.
    event.preventDefault();
    if (isOpen) events.onFailure(event.message, event);
  });
  worker.addEventListener("messageerror", (event: unknown) => {
    if (isOpen) events.onFailure("The worker sent a message that cannot be read", event);
  });
  return {
    post(message, transfer) {
      worker.postMessage(message, transfer as any[]);
    },
    close,
    keepAlive() {
      // A page lives as long as it is shown.
    },
  };
}

function construct({ script, type, name }: WorkerSource<WebWorkerLike>): WebWorkerLike {
  const url = new URL(script!, typeof location === "undefined" ? undefined : location.href);
  const isOwn = url.protocol === "blob:" || url.protocol === "data:" || url.origin === location?.origin;
  if (!isOwn)
    throw new Error(
      `a worker script has to be of the page's own origin (same-origin policy): ${url.href} is not of ${location?.origin}`,
    );
  return new Worker(script!, { ...(type !== undefined && { type }), ...(name !== undefined && { name }) });
}
