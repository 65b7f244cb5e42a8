"use strict";

/* A user's CommonJS program: the entry of a bundle, and a script by itself. */
const { WorkerServer, WorkerStatus } = require("@hardlydifficult/worker-server");

async function main() {
  const server = new WorkerServer({ port: 0 });
  await server.start();
  const isListening = server.port > 0;
  await server.stop();
  console.log(JSON.stringify({ isListening, status: WorkerStatus.Busy }));
}

main();
