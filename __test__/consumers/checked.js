// @ts-check
"use strict";

/* A user's JavaScript whose types are checked. */
const { WorkerServer, WorkerStatus } = require("@hardlydifficult/worker-server");

/** @type {import("@hardlydifficult/worker-server").WorkerServerOptions} */
const options = { port: 0, heartbeatTimeoutMs: 60_000 };
const server = new WorkerServer(options);

/** @param {import("@hardlydifficult/worker-server").WorkerInfo} worker */
function nameOf(worker) {
  return worker.status === WorkerStatus.Busy ? `${worker.name} (busy)` : worker.name;
}

server.onWorkerConnected((worker) => console.log(nameOf(worker).toUpperCase()));
server.addHttpHandler(async (request, response) => {
  response.end(request.url);
  return true;
});

// @ts-expect-error a port is no object
void new WorkerServer({ port: {} });

module.exports = { server };
