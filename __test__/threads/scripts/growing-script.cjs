"use strict";

// Fills its heap, sends a heartbeat, and waits until it may answer.
const { parentPort } = require("node:worker_threads");

const kept = [];

parentPort.on("message", ({ taskId, payload }) => {
  for (let count = 0; count < (payload.megabytes ?? 0); count++)
    kept.push(Array.from({ length: 131_072 }, () => count));
  if (payload.flag !== undefined) {
    parentPort.postMessage({ type: "heartbeat" });
    Atomics.wait(payload.flag, 0, 0);
  }
  parentPort.postMessage({ type: "result", taskId, payload: payload.n ?? kept.length });
});
