"use strict";

// Listens in the three ways that a port offers, and answers with the whole message.
const { parentPort, workerData } = require("node:worker_threads");

const way = workerData?.way ?? "on";
const answer = (message) => {
  parentPort.postMessage({ type: "result", taskId: message.taskId, payload: { ...message, way } });
};
if (way === "on") parentPort.on("message", answer);
if (way === "addEventListener") parentPort.addEventListener("message", (event) => answer(event.data));
// oxlint-disable-next-line unicorn/prefer-add-event-listener -- one of the three ways
if (way === "onmessage") parentPort.onmessage = (event) => answer(event.data);
