import { BrowserWorkerManager, TaskManager, type MessageIF } from "../../tasks.js";
import { FakeWorker, closeAll, fakeWorkers, manageTasks, silence } from "./harness.js";

afterEach(closeAll);

function record(manager: TaskManager): MessageIF[] {
  const seen: MessageIF[] = [];
  manager.events$.subscribe((message) => seen.push(message));
  return seen;
}

function withoutNames(message: MessageIF): Partial<MessageIF> {
  const names = new Set(["seq", "managerId", "message"]);
  return Object.fromEntries(Object.entries(message).filter(([name]) => !names.has(name)));
}

const line = ({ seq, message }: MessageIF): string => `${seq} ${message}`;

test("one task on one free worker, from its addition to the next readiness", () => {
  const { manager, fakes } = fakeWorkers(1);
  const seen = record(manager);
  const from = 2; // worker-ready and worker-updated came before
  const task = manager.addTask({ name: "a", params: 1 });
  expect(seen.map(line)).toEqual(
    ["new-task", "task-claim", "task-updated", "task-claim-granted", "worker-updated"].map(
      (message, index) => `${from + index + 1} ${message}`,
    ),
  );
  fakes[0]!.answer({ content: 2 });
  expect(seen.slice(5).map(line)).toEqual(
    [
      "worker-response",
      "task-updated",
      "task-deleted",
      "worker-updated",
      "worker-updated",
      "worker-ready",
      "worker-updated",
    ].map((message, index) => `${from + index + 6} ${message}`),
  );
  const workerId = fakes[0]!.id;
  const worker = expect.objectContaining({ id: workerId });
  const id = { taskId: task.id };
  expect(seen.map(withoutNames)).toEqual([
    { ...id, content: task },
    { ...id, workerId },
    { ...id, content: { old: expect.objectContaining({ status: "new" }), new: task } },
    { ...id, workerId, content: task },
    { workerId, content: { new: worker } },
    { ...id, workerId, content: 2 },
    { ...id, content: { old: expect.objectContaining({ status: "working" }), new: task } },
    id,
    { workerId, content: worker },
    { workerId, content: { new: worker } },
    { workerId, content: worker },
    { workerId, content: worker },
  ]);
  expect(new Set(seen.map(({ managerId }) => managerId))).toEqual(new Set([manager.id]));
});

test("a failed script", () => {
  silence("error");
  const { manager, fakes, browser } = fakeWorkers(1, ["a"], { restart: false });
  const [worker] = browser.workers;
  manager.addTask({ name: "a", params: 1 });
  const seen = record(manager);
  fakes[0]!.fail("bang");
  expect(seen.map(({ message }) => message)).toEqual([
    "worker-response",
    "task-updated",
    "task-deleted",
    "worker-updated",
  ]);
  expect(seen[0]).toMatchObject({ error: "bang", workerId: worker!.id });
  expect(seen[3]!.content).toMatchObject({ new: worker, error: worker!.error });
  expect(worker!.status).toBe("closed");
});

test("subscribers before and after the managers see the same order, nested messages too", () => {
  const manager = manageTasks();
  const before = record(manager);
  const fake = new FakeWorker();
  new BrowserWorkerManager({ manager, configs: [{ tasks: ["a"], create: () => fake }] });
  const after = record(manager);
  fake.ready();
  let left = 3;
  const add = (): void => {
    manager.addTask({ name: "a", params: 1, onSuccess: add });
    if (left-- > 0) manager.addTask({ name: "a", params: 2 });
  };
  add();
  for (let turn = 0; turn < 10; turn++) fake.answer();
  expect(before).toEqual(after);
  expect(before.map(({ seq }) => seq)).toEqual(before.map((_, index) => index + 1));
});

test("messages are plain copies with a number of their own", () => {
  const manager = manageTasks();
  const seen = record(manager);
  const given = { message: "mine", seq: 77, managerId: "other", content: { a: 1 } };
  manager.emit(given);
  expect(seen).toEqual([{ message: "mine", seq: 1, managerId: manager.id, content: given.content }]);
  expect(Object.getPrototypeOf(seen[0])).toBe(Object.prototype);
  expect(given.seq).toBe(77);
});

test("delivery is synchronous", () => {
  const { manager, fakes } = fakeWorkers(1);
  const task = manager.addTask({ name: "a", params: { n: 1 } });
  expect(task.status).toBe("working");
  expect(fakes[0]!.posted).toEqual([
    { message: "init-worker", id: fakes[0]!.id, content: ["a"] },
    {
      message: "worker-work",
      taskId: task.id,
      workerId: fakes[0]!.id,
      content: {
        id: task.id,
        name: "a",
        params: { n: 1 },
        status: "working",
        assignedWorker: fakes[0]!.id,
      },
    },
  ]);
});
