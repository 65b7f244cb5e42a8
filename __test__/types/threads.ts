/*
 * What `worker-server-native/threads` exports, and the shapes that programs written for the API rely on.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import type { EventEmitter } from "node:events";
import { expectTypeOf } from "expect-type";
import * as threads from "../../threads.js";

expectTypeOf<keyof typeof threads>().toEqualTypeOf<
  | "OrchestrationError"
  | "TaskPriority"
  | "TaskStatus"
  | "ValidationError"
  | "WorkerError"
  | "WorkerManager"
  | "WorkerMessageType"
  | "WorkerState"
  | "WorkerTaskType"
  | "createWorkerManager"
  | "defaultConfig"
>();

const manager = threads.createWorkerManager({
  minWorkers: 1,
  workerScriptPath: new URL("file:///worker.js"),
});
expectTypeOf(manager).toExtend<EventEmitter>();
expectTypeOf(threads.createWorkerManager)
  .parameter(0)
  .toEqualTypeOf<threads.WorkerManagerConfig | undefined>();

expectTypeOf(manager.submitTask("CUSTOM", null)).toEqualTypeOf<Promise<string>>();
void manager.submitTask(threads.WorkerTaskType.CUSTOM, { n: 1 }, null, {
  priority: threads.TaskPriority.HIGH,
  dependencies: ["task-1"],
});
void manager.submitTask<{ n: number }>("CUSTOM", null, (error, result) => {
  expectTypeOf(error).toEqualTypeOf<Error | null>();
  expectTypeOf(result).toEqualTypeOf<{ n: number } | undefined>();
});
// @ts-expect-error -- no such type
void manager.submitTask("NOPE", null);
expectTypeOf(manager.run<number>("CUSTOM", null)).toEqualTypeOf<Promise<number>>();

manager.on("taskCompleted", ({ task, worker }) => {
  expectTypeOf(task.completedAt - task.startedAt).toEqualTypeOf<number>();
  expectTypeOf(worker.id).toEqualTypeOf<string>();
});
manager.on("scaledUp", ({ workerCount, previousCount }) => {
  expectTypeOf(workerCount + previousCount).toEqualTypeOf<number>();
});
manager.on("error", ({ type, error, index }) => {
  expectTypeOf(type).toEqualTypeOf<"worker_creation_failed" | "callback_error" | "internal">();
  expectTypeOf(error).toEqualTypeOf<Error>();
  expectTypeOf(index).toEqualTypeOf<number | undefined>();
});
// @ts-expect-error -- tasks are read-only
manager.getTask("task-1")!.status = threads.TaskStatus.FAILED;

expectTypeOf(manager.getMetrics().duration.p99).toEqualTypeOf<number>();
expectTypeOf(manager.getWorkerStatus()[0]!.currentTask).toEqualTypeOf<string | null>();
expectTypeOf(manager.shutdown).parameter(0).toEqualTypeOf<threads.ShutdownOptions | undefined>();
expectTypeOf(new threads.ValidationError("", "field")).toExtend<threads.OrchestrationError>();
expectTypeOf<threads.WorkerError["workerId"]>().toEqualTypeOf<string | undefined>();

const handler: threads.Handler = async (payload, { signal, progress, transfer }) => {
  expectTypeOf(payload).toEqualTypeOf<unknown>();
  signal.throwIfAborted();
  progress(50);
  return transfer(new ArrayBuffer(1), []);
};
void handler;
