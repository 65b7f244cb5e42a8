/*
 * The main job: a server, three workers in processes of their own, and requests that are
 * dispatched by model and category.
 *
 *   npm start                    until Ctrl-C
 *   npm start -- --once          a fixed number of requests, then a summary
 */
import { randomUUID } from "node:crypto";
import { WorkerServer } from "worker-server-native";
import { Dispatcher } from "./dispatcher.mjs";
import { startFleet } from "./fleet.mjs";
import { readOptions } from "./options.mjs";
import { createView, summary } from "./view.mjs";

const requestsOfOneRun = 60;
const millisBetweenRequests = 40;
const mostQueued = 100;
const kinds = [
  { model: "sonnet-3.5", category: "inference" },
  { model: "haiku", category: "inference" },
  { model: "embed-large", category: "embedding" },
];

/** Runs until it is interrupted or done; resolves to the exit code. */
export async function main(args) {
  const { once, port } = readOptions(args);
  const token = randomUUID();
  const server = new WorkerServer({ port, authToken: token });
  try {
    await server.start();
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    console.error(
      `Port ${port} is in use: end what listens there, or choose another with \`npm start -- --port <number>\`.`,
    );
    return 1;
  }

  const interrupted = interruption();
  const results = [];
  const dispatcher = new Dispatcher(server, (result) => {
    results.push(result);
    view.result(result);
  });
  const stopFleet = await startFleet(server, server.port, token).catch(async (error) => {
    await server.stop();
    throw error;
  });
  console.log(`Server on port ${server.port}, ${server.getWorkerCount()} workers.`);
  const view = createView(server, dispatcher);
  const began = performance.now();

  await sendRequests(dispatcher, { most: once ? requestsOfOneRun : Infinity, results, interrupted });

  const seconds = (performance.now() - began) / 1000;
  const answered = [...results];
  view.stop();
  server.broadcast({ type: "shutdown" });
  await Promise.all([server.stop(), stopFleet()]);
  console.log(summary(answered, seconds));
  return 0;
}

/** One request after the other, until the given number is answered or the user has had enough. */
function sendRequests(dispatcher, { most, results, interrupted }) {
  return new Promise((resolve) => {
    let sent = 0;
    const timer = setInterval(() => {
      if (results.length >= most) end();
      // When the workers cannot keep up, the queue does not grow for ever.
      else if (sent < most && dispatcher.queued < mostQueued) {
        const kind = kinds[sent % kinds.length];
        sent++;
        dispatcher.request({ requestId: `req-${sent}`, input: `task ${sent}`, ...kind });
      }
    }, millisBetweenRequests);
    const end = () => {
      clearInterval(timer);
      resolve();
    };
    interrupted.then(end);
  });
}

/** npm passes a Ctrl-C on that the terminal has sent to us already: the first counts, the others are nothing new. */
function interruption() {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, resolve);
  });
}
