/* A user's ES module. */
import * as everything from "worker-server-native";
import { WorkerServer, safeCompare } from "worker-server-native";

export const server: everything.WorkerServer = new WorkerServer({ port: 0 });
export const equal: boolean = safeCompare("a", "b");
export const status: everything.WorkerStatus = everything.WorkerStatus.Busy;

// @ts-expect-error there is no such export
void everything.NoSuchExport;
