/* A user's ES module. */
import * as everything from "worker-server-native";
import { WorkerServer, safeCompare } from "worker-server-native";
import * as v2 from "worker-server-native/v2";

export const server: everything.WorkerServer = new WorkerServer({ port: 0 });
export const equal: boolean = safeCompare("a", "b");
export const status: everything.WorkerStatus = everything.WorkerStatus.Busy;

export const dispatching: v2.WorkerServer = new v2.WorkerServer({ port: 0 });
export const busy: v2.WorkerStatus = v2.WorkerStatus.Busy;

// @ts-expect-error there is no such export
void everything.NoSuchExport;
