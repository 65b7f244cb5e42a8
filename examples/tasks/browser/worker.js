let workerId;

self.addEventListener("message", ({ data }) => {
  if (data.message === "init-worker") {
    workerId = data.id;
    self.postMessage({ message: "worker-ready", workerId, content: { tasks: data.content } });
    return;
  }
  const { n } = data.content.params;
  self.postMessage({ message: "worker-response", taskId: data.taskId, workerId, content: fibonacci(n) });
});

function fibonacci(n) {
  return n <= 1 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
