"use strict";

/* A server worker whose tasks are named after what they do. */
const { parentPort } = require("node:worker_threads");

let id;
const answer = (taskId, fields) =>
  parentPort.postMessage({ message: "worker-response", taskId, workerId: id, ...fields });

const actions = {
  echo: (params, taskId) => answer(taskId, { content: params }),
  fail: (params, taskId) => answer(taskId, { error: params }),
  throw() {
    throw new Error("thrown on purpose");
  },
  exit: (code) => process.exit(code),
  spin() {
    for (;;);
  },
  wait() {},
  bytes: (bytes, taskId) =>
    parentPort.postMessage({ message: "worker-response", taskId, content: bytes }, [bytes]),
  thread: (params, taskId) => answer(taskId, { content: require("node:worker_threads").threadId }),
  /** Answers twice, to a stranger, and with garbage. */
  hostile(params, taskId) {
    for (const garbage of [null, 1, "text", [], {}, { message: "worker-response" }, { message: 1, taskId }])
      parentPort.postMessage(garbage);
    answer("no-such-task", { content: "wrong" });
    parentPort.postMessage({ message: "worker-ready", workerId: "stranger", content: null });
    parentPort.postMessage({ message: "worker-response", taskId, workerId: "stranger", content: "first" });
    answer(taskId, { content: "second" });
    answer(taskId, { error: "third" });
  },
  throwLate(params, taskId) {
    answer(taskId, { content: params });
    setTimeout(() => {
      throw new Error("thrown late");
    });
  },
};

parentPort.on("message", (message) => {
  if (message.message === "init-worker") {
    id = message.id;
    parentPort.postMessage({ message: "worker-ready", workerId: id, content: { tasks: message.content } });
  } else actions[message.content.name](message.content.params, message.taskId);
});
