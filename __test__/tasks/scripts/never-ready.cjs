"use strict";

require("node:worker_threads").parentPort.on("message", () => {});
