"use strict";

// The face of the worker registry: a table of contents, like index.js.
Object.defineProperty(exports, "__esModule", { value: true });

exports.ClaudeFlowMemory = require("./dist/registry/memory.js").ClaudeFlowMemory;
exports.InMemoryClaudeFlowMemory = require("./dist/registry/memory.js").ClaudeFlowMemory;
exports.RedisStore = require("./dist/registry/redis-store.js").RedisStore;
exports.WorkerRegistry = require("./dist/registry/worker-registry.js").WorkerRegistry;
exports.registerServer = require("./dist/registry/register-server.js").registerServer;
