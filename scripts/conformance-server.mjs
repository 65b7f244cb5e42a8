/*
 * node scripts/conformance-server.mjs [port]
 *
 * Something for a WebSocket conformance suite to talk to: an endpoint at /echo that sends every message back, worker
 * sockets everywhere else. docs/conformance.md tells what to do with it. Ends with SIGINT or SIGTERM.
 */
import { WorkerServer } from "../index.js";

const port = Number(process.argv[2] ?? 9001);
const quiet = () => {};
const server = new WorkerServer({ port, logger: { debug: quiet, info: quiet, warn: quiet, error: quiet } });
server.addWebSocketEndpoint("/echo", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
await server.start();
process.stdout.write(`ws://127.0.0.1:${server.port}/echo sends back, any other path takes workers\n`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());
