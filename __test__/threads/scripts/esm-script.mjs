import { parentPort, workerData } from "node:worker_threads";

parentPort.on("message", ({ taskId, payload }) => {
  parentPort.postMessage({ type: "result", taskId, payload: { esm: true, payload, workerData } });
});
