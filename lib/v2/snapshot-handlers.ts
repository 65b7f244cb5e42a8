import { snapshotOf } from "../dispatch/snapshot.js";
import type * as v1 from "../types.js";
import type { WorkerInfo } from "./types.js";

type SnapshotHandler = (worker: WorkerInfo) => void;
type InfoHandler = (info: v1.WorkerInfo) => void;

const adapters = new WeakMap<SnapshotHandler, InfoHandler>();
const snapshots = new WeakMap<v1.WorkerInfo, WorkerInfo>();

/** A handler for infos that calls one for snapshots; the same one each time, so that a handler added twice is called once. */
export function forInfos(handler: SnapshotHandler): InfoHandler {
  let adapter = adapters.get(handler);
  if (adapter === undefined) {
    adapter = (info) => handler(sharedSnapshotOf(info));
    adapters.set(handler, adapter);
  }
  return adapter;
}

/** All handlers get the same snapshot, as they get the same info. */
function sharedSnapshotOf(info: v1.WorkerInfo): WorkerInfo {
  let snapshot = snapshots.get(info);
  // The statuses of both APIs are the same strings; here nobody can set the one that is missing.
  if (snapshot === undefined) snapshots.set(info, (snapshot = snapshotOf(info) as unknown as WorkerInfo));
  return snapshot;
}
