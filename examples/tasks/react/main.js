/* The same page with React. `createElement` stands here instead of JSX, so that nothing has to be set up. */
import { StrictMode, createElement, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { useTasks } from "./use-tasks.js";

const configs = [
  {
    tasks: ["fibonacci"],
    count: 2,
    create: () => new Worker(new URL("../browser/worker.js", import.meta.url), { type: "module" }),
  },
];

function Fibonacci({ n }) {
  const taskManager = useTasks(configs);
  const [text, setText] = useState("…");
  useEffect(() => {
    if (taskManager === null) return undefined;
    const controller = new AbortController();
    taskManager.run({ name: "fibonacci", params: { n }, signal: controller.signal }).then(
      (result) => setText(String(result)),
      (error) => controller.signal.aborted || setText(error.message),
    );
    return () => controller.abort();
  }, [taskManager, n]);
  return createElement("li", null, `fibonacci(${n}) is ${text}`);
}

createRoot(document.querySelector("#results")).render(
  createElement(StrictMode, null, createElement(Fibonacci, { n: 20 })),
);
