/* A user's program: the entry of a bundle, and a module by itself. */
import * as everything from "@hardlydifficult/worker-server";
import { WorkerServer } from "@hardlydifficult/worker-server";

const server = new WorkerServer({ port: 0 });
await server.start();
const isListening = server.port > 0;
await server.stop();
console.log(JSON.stringify({ isListening, status: everything.WorkerStatus.Busy }));
