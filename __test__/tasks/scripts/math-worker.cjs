"use strict";

/* The worker of the seed's samples, on a thread. */
const { parentPort } = require("node:worker_threads");
let myWorkerId = null;

parentPort.on("message", function (data) {
  const { message, taskId, content } = data;
  switch (message) {
    case "init-worker":
      myWorkerId = data.id;
      parentPort.postMessage({
        message: "worker-ready",
        workerId: myWorkerId,
        content: { tasks: data.content },
      });
      break;
    case "worker-work":
      try {
        const content_ = run(content);
        parentPort.postMessage({
          message: "worker-response",
          taskId,
          workerId: myWorkerId,
          content: content_,
        });
      } catch (error) {
        parentPort.postMessage({
          message: "worker-response",
          taskId,
          workerId: myWorkerId,
          error: error.message,
        });
      }
  }
});

function run({ name, params }) {
  switch (name) {
    case "add":
      return params.a + params.b;
    case "multiply":
      return params.a * params.b;
    case "calculate":
      return params.operation === "add" ? params.a + params.b : undefined;
    case "divide":
      if (params.b === 0) throw new Error("Division by zero is not allowed");
      return params.a / params.b;
    case "fibonacci":
      return fibonacci(params.n);
    case "heavy-computation": {
      let sum = 0;
      for (let index = 0; index < params.iterations; index++) sum += index;
      return sum;
    }
    default:
      throw new Error(`Unknown task: ${name}`);
  }
}

function fibonacci(n) {
  return n <= 1 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
