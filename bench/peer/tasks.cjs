"use strict";

/*
 * The tasks of docs/tasks.md as a plain rxjs program writes them: messages are delivered inside of each other, and a
 * worker that is ready looks through all tasks. What is posted is made cloneable, for otherwise nothing would run.
 */
const { randomUUID } = require("node:crypto");
const { Worker } = require("node:worker_threads");
const { Subject } = require("rxjs");

class TaskManager {
  id = randomUUID();
  events$ = new Subject();
  #tasks = new Map();
  #seq = 0;

  constructor() {
    this.events$.subscribe((message) => this.#receive(message));
  }

  emit(message) {
    this.events$.next({ ...message, managerId: this.id, seq: ++this.#seq });
  }

  addTask(params) {
    const task = { ...params, id: randomUUID(), status: "new" };
    this.#tasks.set(task.id, task);
    this.emit({ message: "new-task", taskId: task.id, content: task });
    return task;
  }

  updateTask(id, props) {
    const task = this.#tasks.get(id);
    const old = { ...task };
    Object.assign(task, props);
    this.emit({ message: "task-updated", taskId: id, content: { old, new: task } });
  }

  deleteTask(id) {
    if (this.#tasks.delete(id)) this.emit({ message: "task-deleted", taskId: id });
  }

  #receive(message) {
    const task = this.#tasks.get(message.taskId);
    if (message.message === "task-claim" && task !== undefined && task.assignedWorker === undefined) {
      this.updateTask(task.id, { status: "working", assignedWorker: message.workerId });
      this.emit({
        message: "task-claim-granted",
        taskId: task.id,
        workerId: message.workerId,
        content: task,
      });
    } else if (message.message === "worker-ready") {
      const waiting = [...this.#tasks.values()].filter(({ status }) => status === "new");
      const next = waiting.find(({ name }) => message.content.tasks.includes(name));
      if (next !== undefined) this.emit({ message: "task-available", taskId: next.id, content: next });
    } else if (message.message === "worker-response" && task !== undefined) {
      if (message.error) task.onError?.(message);
      else task.onSuccess?.(message);
      this.deleteTask(task.id);
    }
  }
}

class TaskWorker {
  id = randomUUID();
  status = "offline";

  constructor(manager, { tasks, script }) {
    this.manager = manager;
    this.tasks = tasks;
    this.worker = new Worker(script);
    this.worker.on("message", (message) => this.#receive(message));
    this.worker.postMessage({ message: "init-worker", id: this.id, content: tasks });
    manager.events$.subscribe((message) => this.#hear(message));
  }

  claim(task) {
    this.manager.emit({ message: "task-claim", taskId: task.id, workerId: this.id });
  }

  #hear({ message, workerId, content }) {
    if (message === "task-claim-granted" && workerId === this.id) this.#start(content);
    else if (message === "task-available" && this.status === "available" && this.tasks.includes(content.name))
      this.claim(content);
  }

  #start({ id, name, params, status }) {
    this.status = "working";
    this.worker.postMessage({
      message: "worker-work",
      taskId: id,
      content: { id, name, params, status },
      workerId: this.id,
    });
    this.manager.emit({ message: "worker-updated", workerId: this.id, content: { new: this } });
  }

  #receive(message) {
    if (message.message === "worker-response") this.manager.emit(message);
    this.status = "available";
    this.manager.emit({ message: "worker-updated", workerId: this.id, content: { new: this } });
    this.manager.emit({ message: "worker-ready", workerId: this.id, content: this });
  }
}

class ServerWorkerManager {
  constructor({ manager, configs }) {
    manager.events$.subscribe(({ message, content }) => {
      if (message === "new-task" || message === "task-available") this.#offer(content);
    });
    this.workers = configs.map((config) => new TaskWorker(manager, config));
  }

  #offer(task) {
    const free = this.workers.filter(
      ({ status, tasks }) => status === "available" && tasks.includes(task.name),
    );
    free[Math.floor(Math.random() * free.length)]?.claim(task);
  }
}

module.exports = { ServerWorkerManager, TaskManager };
