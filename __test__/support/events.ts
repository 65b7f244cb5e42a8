import type { WorkerInfo, WorkerServer } from "../../index.js";

export interface RecordedEvents {
  readonly connected: WorkerInfo[];
  readonly disconnected: { info: WorkerInfo; pending: ReadonlySet<string> }[];
}

/** What the connected and disconnected handlers of `server` were called with, in order. */
export function recordEvents(server: WorkerServer): RecordedEvents {
  const events: RecordedEvents = { connected: [], disconnected: [] };
  server.onWorkerConnected((info) => events.connected.push(info));
  server.onWorkerDisconnected((info, pending) => events.disconnected.push({ info, pending }));
  return events;
}
