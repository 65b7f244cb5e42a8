import type { TaskManagerIF, ThreadLike, WorkerConfig } from "../core/types.js";
import { WorkerManager } from "../core/worker-manager.js";
import { ServerTaskWorker, type ServerWorkerManagerIF } from "./server-task-worker.js";

/** Threads that take the tasks of a task manager. */
export class ServerWorkerManager
  extends WorkerManager<ServerTaskWorker, ThreadLike>
  implements ServerWorkerManagerIF
{
  /**
   * Starts the threads of every configuration.
   * @throws TaskError with code `INVALID_OPTION` if a configuration is not valid
   */
  constructor(props: { manager?: TaskManagerIF; configs: readonly WorkerConfig<ThreadLike>[] }) {
    super(
      "server",
      props.manager,
      props.configs,
      (owner, config) => new ServerTaskWorker(owner as ServerWorkerManager, config),
    );
  }
}
