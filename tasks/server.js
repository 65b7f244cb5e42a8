"use strict";

// The face of tasks on threads: a table of contents, like index.js.
Object.defineProperty(exports, "__esModule", { value: true });

exports.Message = require("../dist/tasks/core/message.js").Message;
exports.ServerTaskWorker = require("../dist/tasks/server/server-task-worker.js").ServerTaskWorker;
exports.ServerWorkerManager = require("../dist/tasks/server/server-worker-manager.js").ServerWorkerManager;
exports.TASK_MESSAGES = require("../dist/tasks/core/constants.js").TASK_MESSAGES;
exports.TASK_STATUS = require("../dist/tasks/core/constants.js").TASK_STATUS;
exports.TaskError = require("../dist/tasks/core/task-error.js").TaskError;
exports.TaskManager = require("../dist/tasks/core/task-manager.js").TaskManager;
exports.TaskRequest = require("../dist/tasks/core/task-request.js").TaskRequest;
exports.WORKER_STATUS = require("../dist/tasks/core/constants.js").WORKER_STATUS;
