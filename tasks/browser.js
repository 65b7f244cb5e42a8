"use strict";

// The face of tasks on Web Workers: a table of contents, like index.js.
Object.defineProperty(exports, "__esModule", { value: true });

exports.BrowserTaskWorker = require("../dist/tasks/browser/browser-task-worker.js").BrowserTaskWorker;
exports.BrowserWorkerManager =
  require("../dist/tasks/browser/browser-worker-manager.js").BrowserWorkerManager;
exports.Message = require("../dist/tasks/core/message.js").Message;
exports.TASK_MESSAGES = require("../dist/tasks/core/constants.js").TASK_MESSAGES;
exports.TASK_STATUS = require("../dist/tasks/core/constants.js").TASK_STATUS;
exports.TaskError = require("../dist/tasks/core/task-error.js").TaskError;
exports.TaskManager = require("../dist/tasks/core/task-manager.js").TaskManager;
exports.TaskRequest = require("../dist/tasks/core/task-request.js").TaskRequest;
exports.WORKER_STATUS = require("../dist/tasks/core/constants.js").WORKER_STATUS;
