"use strict";

// The package's face: a table of contents. Written so that Node finds the names without running it (named ES imports).
Object.defineProperty(exports, "__esModule", { value: true });

exports.ConnectionHandler = require("./dist/connection-handler.js").ConnectionHandler;
exports.WorkerPool = require("./dist/worker-pool.js").WorkerPool;
exports.WorkerServer = require("./dist/worker-server.js").WorkerServer;
exports.WorkerStatus = require("./dist/worker-status.js").WorkerStatus;
exports.safeCompare = require("./dist/safe-compare.js").safeCompare;
exports.toWorkerInfo = require("./dist/worker-info.js").toWorkerInfo;
