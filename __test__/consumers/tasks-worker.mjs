import { parentPort } from "node:worker_threads";

let id;
parentPort.on("message", ({ message, id: given, taskId, content }) => {
  if (message === "init-worker") {
    id = given;
    parentPort.postMessage({ message: "worker-ready", workerId: id, content: { tasks: content } });
  } else
    parentPort.postMessage({
      message: "worker-response",
      taskId,
      workerId: id,
      content: content.params.n * 2,
    });
});
