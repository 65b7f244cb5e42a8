import { driven } from "../lib/measure.mjs";
import { healthPath } from "../lib/server-process.mjs";

const figures = [
  { key: "per_second", title: "requests/s" },
  { key: "p99_us", title: "p99 us" },
];
const blockedFigure = { key: "per_second_blocked", title: "requests/s, JS blocked" };

/** Kept-alive connections; the peer answers the health route in JavaScript, as one would by hand. */
export function httpCases({ quick }) {
  const timing = quick ? { warmup: 500, seconds: 0.8 } : { warmup: 1000, seconds: 2 };
  return [1, 64].flatMap((connections) => [
    {
      id: `http/handler, ${connections} ${connections === 1 ? "connection" : "connections"}`,
      figures,
      run: driven("http", { connections, path: "/status", ...timing }),
    },
    {
      id: `http/native health route, ${connections} ${connections === 1 ? "connection" : "connections"}`,
      figures: [...figures, blockedFigure],
      run: driven("http", { connections, path: healthPath, block: 800, ...timing }),
    },
  ]);
}
