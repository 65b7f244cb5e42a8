import type { WorkerInfo, WorkerServer } from "../../index.js";

export type MessageCall = [worker: WorkerInfo, message: any];

/** Subscribes to the type and remembers the arguments of every call. */
export function recordMessages(server: WorkerServer, type: string): MessageCall[] {
  const calls: MessageCall[] = [];
  server.onWorkerMessage<any>(type, (...args) => {
    calls.push(args);
  });
  return calls;
}
