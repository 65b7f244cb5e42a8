/* A user's CommonJS module. */
import api = require("worker-server-native");
import v2 = require("worker-server-native/v2");

const server: api.WorkerServer = new api.WorkerServer({ port: 0 });
const workers: api.WorkerInfo[] = server.getWorkerInfo();
const status: api.WorkerStatus = api.WorkerStatus.Draining;

const dispatching: v2.WorkerServer = new v2.WorkerServer({ port: 0 });
const idle: v2.WorkerInfo[] = dispatching.listWorkers();

export = { server, workers, status, idle };
