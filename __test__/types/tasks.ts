/*
 * What `worker-server-native/tasks` exports, and the shapes that programs written for the API rely on.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import { Worker } from "node:worker_threads";
import { expectTypeOf } from "expect-type";
import type { Subject } from "rxjs";
import * as tasks from "../../tasks.js";
import * as browser from "../../tasks/browser.js";
import * as server from "../../tasks/server.js";

type Shared =
  "Message" | "TASK_MESSAGES" | "TASK_STATUS" | "TaskError" | "TaskManager" | "TaskRequest" | "WORKER_STATUS";
type Browser = "BrowserTaskWorker" | "BrowserWorkerManager";
type Server = "ServerTaskWorker" | "ServerWorkerManager";
expectTypeOf<keyof typeof tasks>().toEqualTypeOf<Shared | Browser | Server>();
expectTypeOf<keyof typeof browser>().toEqualTypeOf<Shared | Browser>();
expectTypeOf<keyof typeof server>().toEqualTypeOf<Shared | Server>();

expectTypeOf(tasks.TASK_MESSAGES.TASK_CLAIM_GRANTED).toEqualTypeOf<"task-claim-granted">();
expectTypeOf<tasks.TaskStatusValue>().toEqualTypeOf<"new" | "working" | "failed" | "done" | "active">();
expectTypeOf<tasks.WorkerStatusValue>().toEqualTypeOf<"available" | "working" | "offline" | "closed">();
expectTypeOf<tasks.WorkerStatusKey>().toEqualTypeOf<"AVAILABLE" | "WORKING" | "OFFLINE" | "CLOSED">();

const manager = new tasks.TaskManager();
expectTypeOf(manager).toExtend<tasks.TaskManagerIF>();
expectTypeOf(manager.events$).toEqualTypeOf<Subject<tasks.MessageIF>>();
expectTypeOf(manager.addTask({ name: "a", params: 1 })).toEqualTypeOf<tasks.TaskRequest>();
expectTypeOf(manager.run<number>({ name: "a", params: 1 })).toEqualTypeOf<Promise<number>>();
expectTypeOf(manager.task("id")).toEqualTypeOf<tasks.TaskIF | undefined>();
expectTypeOf(manager.status().failed).toEqualTypeOf<string[]>();
// @ts-expect-error -- `run` has no callbacks
void manager.run({ name: "a", params: 1, onSuccess() {} });
// @ts-expect-error -- an id stays
manager.updateTask("id", { id: "other" });

const make = new tasks.ServerWorkerManager({
  manager,
  configs: [
    { tasks: ["a"], script: new URL("file:///a.js"), restart: false },
    { tasks: ["a"], create: () => new Worker("./a.js"), restart: { max: 1, delay: 2 } },
  ],
});
expectTypeOf(make).toExtend<tasks.ServerWorkerManagerIF>();
expectTypeOf(make.workers).toEqualTypeOf<tasks.ServerTaskWorker[]>();
expectTypeOf(make.workers[0]!).toExtend<tasks.ServerTaskWorkerIF>();
expectTypeOf(make.workers[0]!.canDo({ message: "m" })).toEqualTypeOf<boolean | undefined>();

declare const webWorker: tasks.WebWorkerLike;
const pages = new tasks.BrowserWorkerManager({ configs: [{ create: () => webWorker, count: 2 }] });
expectTypeOf(pages).toExtend<tasks.BrowserWorkerManagerIF>();
expectTypeOf(pages.workers[0]!).toExtend<tasks.BrowserTaskWorkerIF>();
// @ts-expect-error -- a thread is no Web Worker
new tasks.BrowserWorkerManager({ configs: [{ create: () => new Worker("./a.js") }] });

const message = tasks.Message.forTask("m", "t", 1, "w");
expectTypeOf(message.with({ content: 2 })).toEqualTypeOf<tasks.Message>();
expectTypeOf(message.toObject()).toEqualTypeOf<tasks.MessageIF>();
