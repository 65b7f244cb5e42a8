import { useEffect, useState } from "react";
import { BrowserWorkerManager, TaskManager } from "worker-server-native/tasks/browser";

/** A task manager with workers that live as long as the component. Null before they are there. */
export function useTasks(configs) {
  const [taskManager, setTaskManager] = useState(null);
  useEffect(() => {
    const manager = new TaskManager();
    const workers = new BrowserWorkerManager({ manager, configs });
    setTaskManager(manager);
    return () => {
      workers.close();
      manager.close();
    };
  }, [configs]);
  return taskManager;
}
