"use strict";

/*
 * What a program does with the package, in whatever runtime runs this: an HTTP handler, an endpoint, a worker that gets and
 * answers a request, and an orderly end. Prints "done" and ends by itself.
 */
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { WebSocket } = require("ws");
const { WorkerPool, WorkerServer, WorkerStatus } = require("../../index.js");

async function main() {
  const server = new WorkerServer({ port: 0, authToken: "secret", heartbeatTimeoutMs: 1_000 });
  const connected = [];
  const disconnected = [];
  server.onWorkerConnected((worker) => connected.push(worker.id));
  server.onWorkerDisconnected((worker, pending) => disconnected.push([worker.id, [...pending]]));
  const answered = new Promise((resolve) => {
    server.onWorkerMessage("work_complete", (worker, message) => {
      server.releaseRequest(message.requestId, { incrementCompleted: true });
      resolve([worker.id, message.output]);
    });
  });
  server.addHttpHandler(async (request, response) => {
    if (request.url !== "/status") return false;
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.end(`workers: ${server.getWorkerCount()}`);
    return true;
  });
  server.addWebSocketEndpoint("/live", (socket, request) => {
    socket.on("message", (data) => socket.send(`${request.url} ${data}`));
  });
  await server.start();
  const { port } = server;

  const worker = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  const messages = [];
  let wake = () => {};
  worker.on("message", (data) => {
    messages.push(JSON.parse(String(data)));
    wake();
  });
  const next = async () => {
    while (messages.length === 0) await new Promise((resolve) => (wake = resolve));
    return messages.shift();
  };
  await once(worker, "open");
  worker.send(
    JSON.stringify({
      type: "worker_registration",
      workerId: "w",
      workerName: "W",
      authToken: "secret",
      capabilities: { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 2 },
    }),
  );
  assert.equal((await next()).success, true);
  assert.deepEqual(connected, ["w"]);
  worker.send(JSON.stringify({ type: "heartbeat", workerId: "w", timestamp: 1 }));
  assert.equal((await next()).type, "heartbeat_ack");

  const found = await fetch(`http://127.0.0.1:${port}/status`);
  assert.equal(await found.text(), "workers: 1");
  assert.equal((await fetch(`http://127.0.0.1:${port}/nothing`)).status, 404);

  const live = new WebSocket(`ws://127.0.0.1:${port}/live?token=1`);
  await once(live, "open");
  live.send("hello");
  assert.equal(String((await once(live, "message"))[0]), "/live?token=1 hello");

  const { id } = server.getAvailableWorker("sonnet");
  server.trackRequest(id, "r1");
  assert.equal(server.send(id, { type: "work_request", requestId: "r1", input: "grüße 中文 😀" }), true);
  const { input } = await next();
  worker.send(JSON.stringify({ type: "work_complete", requestId: "r1", output: input }));
  assert.deepEqual(await answered, ["w", "grüße 中文 😀"]);
  assert.equal(server.getWorkerInfo()[0].completedRequests, 1);
  assert.equal(server.getWorkerInfo()[0].status, WorkerStatus.Available);
  assert.equal(new WorkerPool().getCount(), 0);

  const closed = Promise.all([once(worker, "close"), once(live, "close")]);
  await server.stop();
  assert.deepEqual(
    (await closed).map(([code]) => code),
    [1001, 1001],
  );
  assert.deepEqual(disconnected, []);
  console.log("done");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
