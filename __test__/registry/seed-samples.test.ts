/* The samples of the usage guide of the registry that this entry replaces, run with the import paths changed. */
import { ClaudeFlowMemory, type Worker, WorkerRegistry } from "../../registry.js";

let lines: string[];

beforeEach(() => {
  lines = [];
  jest.spyOn(console, "log").mockImplementation((...values: unknown[]) => void lines.push(values.join(" ")));
});

afterEach(() => jest.restoreAllMocks());

test("basic usage", async () => {
  const memory = new ClaudeFlowMemory();
  const registry = new WorkerRegistry({
    memory,
    workerTTL: 15 * 60 * 1000,
    healthyThreshold: 10 * 60 * 1000,
    degradedThreshold: 15 * 60 * 1000,
    cleanupInterval: 5 * 60 * 1000,
  });
  registry.startCleanup();

  const worker = await registry.registerWorker({
    nodeId: "worker-node-1",
    capabilities: ["coder", "tester", "reviewer"],
    maxConcurrentTasks: 5,
  });
  console.log("Worker registered:", worker.id);
  await registry.heartbeat(worker.id);
  await registry.updateTaskCount(worker.id, 1);
  await registry.updateTaskCount(worker.id, -1);
  await registry.recordTaskCompletion(worker.id, true, 5000);
  await registry.recordTaskCompletion(worker.id, false, 3000);

  const coders = await registry.discoverWorkers({
    capabilities: ["coder"],
    healthStatus: ["healthy"],
    minAvailableCapacity: 2,
  });
  console.log(`Found ${coders.length} available coders`);
  const workers = await registry.getWorkersForLoadBalancing({
    capabilities: ["coder"],
    healthStatus: ["healthy", "degraded"],
    minAvailableCapacity: 1,
  });
  if (workers.length > 0) {
    const bestWorker = workers[0]!;
    console.log("Selected worker:", bestWorker.id);
    console.log("Priority score:", bestWorker.priority);
    console.log("Available capacity:", bestWorker.availableCapacity);
    console.log("Success rate:", bestWorker.successRate);
  }
  registry.stopCleanup();
  expect(lines).toEqual([
    expect.stringMatching(/^Worker registered: worker-\d+-[a-z0-9]{9}$/),
    "Found 1 available coders",
    `Selected worker: ${worker.id}`,
    // As floating-point numbers add up.
    "Priority score: 0.7000000000000001",
    "Available capacity: 5",
    "Success rate: 0.5",
  ]);
});

test("the example of the priority calculation", async () => {
  const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  const a = await registry.registerWorker({ nodeId: "A", capabilities: [], maxConcurrentTasks: 10 });
  await registry.updateTaskCount(a.id, 2);
  await registry.updateMetrics(a.id, { tasksCompleted: 45, tasksFailedCount: 5, averageTaskDuration: 5000 });
  const b = await registry.registerWorker({ nodeId: "B", capabilities: [], maxConcurrentTasks: 5 });
  await registry.updateTaskCount(b.id, 1);
  await registry.updateMetrics(b.id, { tasksCompleted: 10, averageTaskDuration: 3000 });
  const [first, second] = await registry.getWorkersForLoadBalancing();
  expect([first!.nodeId, second!.nodeId]).toEqual(["B", "A"]);
  expect(first!.priority).toBeCloseTo(0.7667, 4);
  expect(first!.priority.toFixed(2)).toBe("0.77");
  expect(second!.priority).toBeCloseTo(0.71, 10);
});

test("the complete example", async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
  async function main(): Promise<void> {
    const memory = new ClaudeFlowMemory();
    const registry = new WorkerRegistry({ memory });
    registry.startCleanup();
    await registry.registerWorker({
      nodeId: "coder-1",
      capabilities: ["coder", "tester"],
      maxConcurrentTasks: 5,
    });
    await registry.registerWorker({
      nodeId: "reviewer-1",
      capabilities: ["reviewer"],
      maxConcurrentTasks: 3,
    });
    console.log("Assigning tasks...");
    const workers = await registry.getWorkersForLoadBalancing({
      capabilities: ["coder"],
      healthStatus: ["healthy"],
      minAvailableCapacity: 1,
    });
    if (workers.length > 0) {
      const selectedWorker = workers[0]!;
      console.log(`Selected worker: ${selectedWorker.id}`);
      await registry.updateTaskCount(selectedWorker.id, 1);
      await new Promise((resolve) => setTimeout(resolve, 5000));
      await registry.recordTaskCompletion(selectedWorker.id, true, 5000);
      console.log("Task completed successfully");
    }
    const allWorkers = await registry.discoverWorkers();
    for (const worker of allWorkers) {
      console.log(`
Worker: ${worker.id}
  Node: ${worker.nodeId}
  Capabilities: ${worker.capabilities.join(", ")}
  Health: ${worker.healthStatus}
  Tasks: ${worker.currentTasks}/${worker.maxConcurrentTasks}
  Completed: ${worker.metrics.tasksCompleted}
  Failed: ${worker.metrics.tasksFailedCount}
  Avg Duration: ${worker.metrics.averageTaskDuration}ms
    `);
    }
    registry.stopCleanup();
  }
  const done = main();
  await jest.advanceTimersByTimeAsync(5000);
  await done;
  jest.useRealTimers();
  expect(lines[0]).toBe("Assigning tasks...");
  expect(lines[2]).toBe("Task completed successfully");
  expect(lines[3]).toContain("Node: coder-1\n  Capabilities: coder, tester\n  Health: healthy\n  Tasks: 0/5");
  expect(lines[3]).toContain("Completed: 1\n  Failed: 0\n  Avg Duration: 5000ms");
  expect(lines[4]).toContain("Node: reviewer-1");
});

class WorkerNode {
  private registry: WorkerRegistry;
  private workerId: string | null = null;
  private heartbeatInterval: NodeJS.Timeout | null = null;

  constructor(
    private nodeId: string,
    private capabilities: string[],
    private maxConcurrentTasks: number,
  ) {
    this.registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  }

  async start(): Promise<void> {
    const worker = await this.registry.registerWorker({
      nodeId: this.nodeId,
      capabilities: this.capabilities,
      maxConcurrentTasks: this.maxConcurrentTasks,
    });
    this.workerId = worker.id;
    console.log(`Worker ${this.workerId} started`);
    this.startHeartbeat();
  }

  async stop(): Promise<void> {
    if (this.heartbeatInterval) {
      clearInterval(this.heartbeatInterval);
    }
    if (this.workerId) {
      await this.registry.unregisterWorker(this.workerId);
      console.log(`Worker ${this.workerId} stopped`);
    }
  }

  private startHeartbeat(): void {
    this.heartbeatInterval = setInterval(
      async () => {
        if (this.workerId) {
          await this.registry.heartbeat(this.workerId);
        }
      },
      5 * 60 * 1000,
    );
  }

  async executeTask(task: any): Promise<void> {
    if (!this.workerId) {
      throw new Error("Worker not registered");
    }
    const startTime = Date.now();
    try {
      await this.registry.updateTaskCount(this.workerId, 1);
      await this.performTask(task);
      const duration = Date.now() - startTime;
      await this.registry.recordTaskCompletion(this.workerId, true, duration);
      console.log(`Task completed in ${duration}ms`);
    } catch (error) {
      const duration = Date.now() - startTime;
      await this.registry.recordTaskCompletion(this.workerId, false, duration);
      throw error;
    }
  }

  private async performTask(task: any): Promise<void> {
    if (task.fails) throw new Error("task failed");
    console.log("Executing task:", task.name);
  }
}

test("a worker node", async () => {
  const worker = new WorkerNode("coder-node-1", ["coder", "tester"], 5);
  await expect(worker.executeTask({ name: "early" })).rejects.toThrow("Worker not registered");
  await worker.start();
  await worker.executeTask({ name: "build" });
  await expect(worker.executeTask({ fails: true })).rejects.toThrow("task failed");
  await worker.stop();
  expect(lines).toEqual([
    expect.stringMatching(/^Worker worker-\S+ started$/),
    "Executing task: build",
    expect.stringMatching(/^Task completed in \d+ms$/),
    expect.stringMatching(/^Worker worker-\S+ stopped$/),
  ]);
});

test("error handling", async () => {
  const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  const registration = { nodeId: "node-1", capabilities: ["coder"], maxConcurrentTasks: 5 };
  const removed = await registry.registerWorker(registration);
  await registry.unregisterWorker(removed.id);
  let workerId = removed.id;
  try {
    await registry.heartbeat(workerId);
  } catch (error: any) {
    if (error.message.includes("not found")) {
      const worker: Worker = await registry.registerWorker(registration);
      workerId = worker.id;
    } else {
      throw error;
    }
  }
  expect(workerId).not.toBe(removed.id);
  await registry.heartbeat(workerId);
});

test("the monitoring dashboard", async () => {
  const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  const first = await registry.registerWorker({ nodeId: "one", capabilities: [], maxConcurrentTasks: 5 });
  await registry.registerWorker({ nodeId: "two", capabilities: [], maxConcurrentTasks: 3 });
  await registry.updateTaskCount(first.id, 3);
  await registry.recordTaskCompletion(first.id, true, 500);

  async function displayWorkerDashboard(): Promise<void> {
    const workers = await registry.discoverWorkers();
    console.log("\n=== Worker Dashboard ===\n");
    const byHealth = {
      healthy: workers.filter((w) => w.healthStatus === "healthy"),
      degraded: workers.filter((w) => w.healthStatus === "degraded"),
      unhealthy: workers.filter((w) => w.healthStatus === "unhealthy"),
    };
    console.log(`Healthy: ${byHealth.healthy.length}`);
    console.log(`Degraded: ${byHealth.degraded.length}`);
    console.log(`Unhealthy: ${byHealth.unhealthy.length}`);
    const totalCapacity = workers.reduce((sum, w) => sum + w.maxConcurrentTasks, 0);
    const usedCapacity = workers.reduce((sum, w) => sum + w.currentTasks, 0);
    const availableCapacity = totalCapacity - usedCapacity;
    console.log(`\nCapacity: ${usedCapacity}/${totalCapacity} (${availableCapacity} available)`);
    const totalCompleted = workers.reduce((sum, w) => sum + w.metrics.tasksCompleted, 0);
    const totalFailed = workers.reduce((sum, w) => sum + w.metrics.tasksFailedCount, 0);
    const successRate = (totalCompleted / (totalCompleted + totalFailed)) * 100;
    console.log(`\nTasks: ${totalCompleted} completed, ${totalFailed} failed`);
    console.log(`Success Rate: ${successRate.toFixed(1)}%`);
    const byPriority = await registry.getWorkersForLoadBalancing();
    console.log("\nTop Performers:");
    byPriority.slice(0, 5).forEach((w, i) => {
      console.log(`  ${i + 1}. ${w.nodeId} (priority: ${w.priority.toFixed(3)})`);
    });
  }
  await displayWorkerDashboard();
  expect(lines).toEqual([
    "\n=== Worker Dashboard ===\n",
    "Healthy: 2",
    "Degraded: 0",
    "Unhealthy: 0",
    "\nCapacity: 2/8 (6 available)",
    "\nTasks: 1 completed, 0 failed",
    "Success Rate: 100.0%",
    "\nTop Performers:",
    "  1. two (priority: 1.000)",
    "  2. one (priority: 0.800)",
  ]);
});
