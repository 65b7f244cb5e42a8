/** The same job as the package's, by hand on `ws` in plain JavaScript; the part of the v1 API that bench/server uses. */
export { WorkerServer } from "./worker-server.js";
