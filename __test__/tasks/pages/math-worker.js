// math-worker.js
let myWorkerId = null; // Store worker ID for self-identification

// oxlint-disable-next-line unicorn/prefer-add-event-listener -- the seed has it like this
self.onmessage = function (e) {
  const { message, taskId, content } = e.data;

  switch (message) {
    case "init-worker":
      // Worker initialization - record our ID for future messages
      myWorkerId = e.data.id;
      self.postMessage({
        message: "worker-ready",
        workerId: myWorkerId,
        content: { tasks: e.data.content },
      });
      break;

    case "worker-work": {
      // Handle task execution
      const { name, params } = content;

      try {
        let result;

        switch (name) {
          case "add":
            result = params.a + params.b;
            break;
          case "multiply":
            result = params.a * params.b;
            break;
          case "divide":
            if (params.b === 0) {
              throw new Error("Division by zero is not allowed");
            }
            result = params.a / params.b;
            break;
          case "fibonacci":
            if (params.n < 0) {
              throw new Error("Fibonacci input must be non-negative");
            }
            result = fibonacci(params.n);
            break;
          case "echo":
            result = params;
            break;
          case "spin":
            for (;;);
          case "throw":
            setTimeout(() => {
              throw new Error("thrown on purpose");
            });
            return;
          default:
            throw new Error(`Unknown task: ${name}`);
        }

        // Send successful result
        self.postMessage({
          message: "worker-response",
          taskId,
          workerId: myWorkerId,
          content: result,
        });
      } catch (error) {
        // Send error response
        self.postMessage({
          message: "worker-response",
          taskId,
          workerId: myWorkerId,
          error: error.message,
        });
      }
      break;
    }
  }
};

function fibonacci(n) {
  if (n <= 1) return n;
  return fibonacci(n - 1) + fibonacci(n - 2);
}
