import { isAbsolute } from "node:path";
import { Worker } from "node:worker_threads";
import { ThreadHandle } from "../../threads/thread-handle.js";
import type { ThreadLike } from "../core/types.js";
import { invalid, type WorkerSource } from "../core/worker-config.js";
import type { LinkEvents, WorkerLink } from "../core/worker-link.js";

/** Starts a thread. Throws what the constructor of the thread throws. */
export function openThread(source: WorkerSource<ThreadLike>, events: LinkEvents): WorkerLink {
  const worker = source.create?.() ?? construct(source);
  let isOpen = true;
  const thread = new ThreadHandle(worker, (code, error) => {
    if (!isOpen) return;
    isOpen = false;
    if (error === undefined) events.onExit(code);
    else events.onFailure(error.message, error);
  });
  worker.on("message", (data: unknown) => {
    if (isOpen) events.onMessage(data);
  });
  worker.on("messageerror", (error: unknown) => {
    if (!isOpen) return;
    isOpen = false;
    events.onFailure("The worker sent a message that cannot be read", error);
  });
  return {
    post(message, transfer) {
      worker.postMessage(message, transfer);
    },
    close() {
      isOpen = false;
      void thread.terminate();
    },
    keepAlive(isNeeded) {
      if (isNeeded) worker.ref();
      else worker.unref();
    },
  };
}

/** Node tells the kind of a script by its file. */
export function refuseType(config: { type?: unknown }): void {
  if (config.type !== undefined)
    throw invalid("type", "Node tells the kind of a script by its file (.mjs, .cjs)", config.type);
}

function construct({ script, name }: WorkerSource<ThreadLike>): ThreadLike {
  const isPath = typeof script === "string" && !/^(?:file|data):/i.test(script);
  const file = isPath ? (isAbsolute(script) ? script : `./${script.replace(/^\.\//, "")}`) : new URL(script!);
  return new Worker(file, name === undefined ? {} : { name }) as ThreadLike;
}
