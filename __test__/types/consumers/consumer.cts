/* A user's CommonJS module. */
import api = require("worker-server-native");

const server: api.WorkerServer = new api.WorkerServer({ port: 0 });
const workers: api.WorkerInfo[] = server.getWorkerInfo();
const status: api.WorkerStatus = api.WorkerStatus.Draining;

export = { server, workers, status };
