// The custom worker of the documentation of the API. Its folder has no module type, so Node detects the ES module.
import { parentPort } from "worker_threads";

parentPort.on("message", async (message) => {
  if (message.type === "task") {
    try {
      const result = await processData(message.payload);
      parentPort.postMessage({ type: "result", taskId: message.taskId, payload: result });
    } catch (error) {
      parentPort.postMessage({ type: "error", taskId: message.taskId, error: error.message });
    }
  }
});

async function processData(payload) {
  if (payload.data) {
    return {
      processed: payload.data.map((item) => ({ ...item, processed: true, timestamp: Date.now() })),
    };
  }
  throw new Error("Invalid payload");
}
