"use strict";

// The face of the worker-threads manager: a table of contents, like index.js.
Object.defineProperty(exports, "__esModule", { value: true });

exports.OrchestrationError = require("./dist/threads/errors.js").OrchestrationError;
exports.TaskPriority = require("./dist/threads/enums.js").TaskPriority;
exports.TaskStatus = require("./dist/threads/enums.js").TaskStatus;
exports.ValidationError = require("./dist/threads/errors.js").ValidationError;
exports.WorkerError = require("./dist/threads/errors.js").WorkerError;
exports.WorkerManager = require("./dist/threads/manager.js").WorkerManager;
exports.WorkerMessageType = require("./dist/threads/enums.js").WorkerMessageType;
exports.WorkerState = require("./dist/threads/enums.js").WorkerState;
exports.WorkerTaskType = require("./dist/threads/enums.js").WorkerTaskType;
exports.createWorkerManager = require("./dist/threads/manager.js").createWorkerManager;
exports.defaultConfig = require("./dist/threads/config.js").defaultConfig;
