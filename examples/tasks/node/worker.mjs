import { parentPort } from "node:worker_threads";

let workerId;

parentPort.on("message", ({ message, id, taskId, content }) => {
  if (message === "init-worker") {
    workerId = id;
    parentPort.postMessage({ message: "worker-ready", workerId, content: { tasks: content } });
    return;
  }
  try {
    const result = primesBelow(content.params.limit).length;
    parentPort.postMessage({ message: "worker-response", taskId, workerId, content: result });
  } catch (error) {
    parentPort.postMessage({ message: "worker-response", taskId, workerId, error: error.message });
  }
});

function primesBelow(limit) {
  if (!(limit > 0)) throw new Error("limit must be above 0");
  const isComposite = new Uint8Array(limit);
  const primes = [];
  for (let number = 2; number < limit; number++) {
    if (isComposite[number]) continue;
    primes.push(number);
    for (let multiple = number * number; multiple < limit; multiple += number) isComposite[multiple] = 1;
  }
  return primes;
}
