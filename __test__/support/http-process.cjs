"use strict";

/*
 * A server in a process of its own, so that its memory and its event loop are its own: it tells its port, and then
 * obeys "memory" (its memory now, and the most since it was last asked) and "block" (blocks its event loop).
 */
const { WorkerServer } = require("../../index.js");

const PIECE = Buffer.alloc(64 * 1024);
let mostMemory = 0;

function look() {
  mostMemory = Math.max(mostMemory, process.memoryUsage.rss());
}

async function upload(req, res) {
  let length = 0;
  for await (const chunk of req) length += chunk.length;
  res.end(String(length));
}

async function download(res, length) {
  res.writeHead(200, { "Content-Length": length });
  for (let left = length; left > 0; left -= PIECE.length) {
    if (!res.write(PIECE)) await new Promise((resolve) => res.once("drain", resolve));
  }
  res.end();
}

async function main() {
  const server = new WorkerServer({ port: 0, healthPath: "/healthz" });
  server.addHttpHandler(async (req, res) => {
    if (req.method === "POST") await upload(req, res);
    else if (req.url.startsWith("/download/"))
      await download(res, Number(req.url.slice("/download/".length)));
    else res.end("handled");
    return true;
  });
  await server.start();
  setInterval(look, 5);
  process.on("disconnect", () => process.exit());
  process.on("message", ({ order, ms }) => {
    look();
    if (order === "memory") {
      process.send({ now: process.memoryUsage.rss(), most: mostMemory });
      mostMemory = 0;
    } else {
      process.send("blocking", () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms));
    }
  });
  process.send({ port: server.port });
}

void main();
