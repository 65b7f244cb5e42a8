"use strict";

// A script that breaks the protocol in the way that its payload says, then answers properly.
const { parentPort } = require("node:worker_threads");

let earlier;

const tricks = {
  garbage: () => {
    for (const value of [
      null,
      1,
      "text",
      [],
      {},
      { type: 7 },
      { type: "result" },
      new Map(),
      { type: "nonsense" },
    ])
      parentPort.postMessage(value);
  },
  twice: (answer) => answer("first"),
  foreign: () => {
    parentPort.postMessage({ type: "result", taskId: "task-999999", payload: "not mine" });
    parentPort.postMessage({ type: "error", taskId: earlier, error: "too late" });
  },
  floodProgress: (_answer, taskId) => {
    for (let value = 0; value < 100_000; value++)
      parentPort.postMessage({ type: "progress", taskId, progress: value });
  },
  badProgress: (_answer, taskId) => {
    for (const progress of [NaN, Infinity, "7", null, undefined, {}])
      parentPort.postMessage({ type: "progress", taskId, progress });
  },
  floodHeartbeats: () => {
    for (let count = 0; count < 10_000; count++) parentPort.postMessage({ type: "heartbeat", count });
  },
  closePort: () => parentPort.close(),
  silent: () => "silent",
};

parentPort.on("message", ({ taskId, payload }) => {
  const answer = (value) => parentPort.postMessage({ type: "result", taskId, payload: value });
  const result = tricks[payload.trick](answer, taskId);
  earlier = taskId;
  if (result !== "silent") answer("proper");
});
