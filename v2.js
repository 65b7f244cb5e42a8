"use strict";

// The face of the dispatch API: a table of contents, like index.js.
Object.defineProperty(exports, "__esModule", { value: true });

exports.WorkerServer = require("./dist/v2/worker-server.js").WorkerServer;
exports.WorkerStatus = require("./dist/v2/worker-status.js").WorkerStatus;
