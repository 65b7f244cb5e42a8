"use strict";

/* Does nothing, and says so. */
const { parentPort } = require("node:worker_threads");

let workerId;
parentPort.on("message", ({ message, id, taskId, content }) => {
  if (message === "init-worker") {
    workerId = id;
    parentPort.postMessage({ message: "worker-ready", workerId, content: { tasks: content } });
  } else parentPort.postMessage({ message: "worker-response", taskId, workerId, content: content.params });
});
