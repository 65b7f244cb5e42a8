/** The entry of every thread of a pool. Sets the thread up, then loads the user's script or handlers. */
import { syncBuiltinESMExports } from "node:module";
import workerThreads = require("node:worker_threads");
import { ControlPort } from "./control-port.js";
import { HandlerModules } from "./handler-modules.js";
import type { ThreadSetup } from "./messages.js";
import { ProtocolScript } from "./protocol-script.js";
import { TaskLoop, type TaskRunner } from "./task-loop.js";

async function start(setup: ThreadSetup): Promise<void> {
  // The script sees what its manager was given, and nothing of this.
  Object.assign(workerThreads, { workerData: setup.workerData });
  syncBuiltinESMExports();
  const control = new ControlPort(setup.control);
  const runner: TaskRunner =
    setup.script === undefined
      ? await HandlerModules.load(setup.handlers)
      : await ProtocolScript.load(setup.script, control);
  new TaskLoop(setup, control, runner).start();
  control.announceReady();
}

const setup = workerThreads.workerData as Partial<ThreadSetup> | null | undefined;
if (setup?.isWorkerServerNativeThread === true) {
  start(setup as ThreadSetup).catch((error: unknown) => {
    // As if nobody had caught it: the thread ends with this error.
    process.nextTick(() => {
      throw error;
    });
  });
}
