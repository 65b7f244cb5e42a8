import type { TaskManagerIF, WebWorkerLike, WorkerConfig } from "../core/types.js";
import { WorkerManager } from "../core/worker-manager.js";
import { BrowserTaskWorker, type BrowserWorkerManagerIF } from "./browser-task-worker.js";

/** Web Workers that take the tasks of a task manager. */
export class BrowserWorkerManager
  extends WorkerManager<BrowserTaskWorker, WebWorkerLike>
  implements BrowserWorkerManagerIF
{
  /**
   * Starts the workers of every configuration.
   * @throws TaskError with code `INVALID_OPTION` if a configuration is not valid
   */
  constructor(props: { manager?: TaskManagerIF; configs: readonly WorkerConfig<WebWorkerLike>[] }) {
    super(
      "browser",
      props.manager,
      props.configs,
      (owner, config) => new BrowserTaskWorker(owner as BrowserWorkerManager, config),
    );
  }
}
