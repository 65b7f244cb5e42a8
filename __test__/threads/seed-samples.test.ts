/* The samples of the documentation of the API that this entry replaces, run with the import path changed. */
import { readFileSync } from "node:fs";
import { Program } from "../support/program";
import { script } from "./harness";

afterEach(async () => Program.endAll());

const IMPORTS = `
  import * as os from "node:os";
  import { writeFileSync } from "node:fs";
  import { createWorkerManager, WorkerTaskType, TaskPriority } from "worker-server-native/threads";
`;

async function run(source: string): Promise<{ lines: string[]; stderr: string }> {
  const program = Program.startModule(`${IMPORTS}${source}`);
  const { code, stderr } = await program.ended;
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return { lines: program.lines, stderr };
}

test("default configuration", async () => {
  const { lines } = await run(`
    import { defaultConfig as ours } from "worker-server-native/threads";
    const defaultConfig = {
      minWorkers: 2,
      maxWorkers: 8,
      maxTaskQueueSize: 1000,
      taskTimeout: 30000,
      healthCheckInterval: 30000,
      workerIdleTimeout: 300000,
      maxWorkerMemory: 512 * 1024 * 1024,
      maxRetries: 3,
      retryDelay: 1000,
      enableAutoScaling: true,
      enableHealthChecks: true,
      scaleUpThreshold: 0.7,
      scaleDownThreshold: 0.3,
      scaleUpCooldown: 30000,
      scaleDownCooldown: 60000,
      backpressureThreshold: 0.9,
      maxTasksPerWorker: 100,
      workerRecycleThreshold: 500
    };
    for (const [key, value] of Object.entries(defaultConfig)) if (ours[key] !== value) console.log(key, ours[key]);
  `);
  expect(lines).toEqual([]);
});

test("creating worker managers", async () => {
  const { lines } = await run(`
    const workerManager = createWorkerManager();
    const custom = createWorkerManager({
      minWorkers: 4,
      maxWorkers: 16,
      taskTimeout: 60000,
      maxRetries: 5,
      enableAutoScaling: true
    });
    console.log(workerManager.getWorkerStatus().length, custom.getWorkerStatus().length);
  `);
  expect(lines).toEqual(["2 4"]);
});

test("submit basic task", async () => {
  const { lines } = await run(`
    const workerManager = createWorkerManager();
    const taskId = await workerManager.submitTask(
      WorkerTaskType.DATA_PROCESSING,
      { data: Array.from({ length: 10000 }, (_, i) => i) },
      (error, result) => {
        if (error) {
          console.error('Task failed:', error);
        } else {
          console.log('Task completed:', result.data.length);
        }
      }
    );

    console.log('Task submitted with ID:', taskId);
  `);
  expect(lines).toEqual(["Task submitted with ID: task-1", "Task completed: 10000"]);
});

test("submit task with options", async () => {
  const { lines } = await run(`
    const workerManager = createWorkerManager();
    await workerManager.submitTask("COMPUTATION", { computation: "sum", data: [] }, null, { id: 'task-123' });
    workerManager.on("taskRetry", ({ attempt }) => console.log("retry", attempt));
    const taskId = await workerManager.submitTask(
      WorkerTaskType.IMAGE_MANIPULATION,
      {
        image: 'path/to/image.jpg',
        operation: 'resize',
        width: 800,
        height: 600
      },
      (error, result) => {
        console.log(error.code);
      },
      {
        priority: TaskPriority.HIGH,
        timeout: 45000,
        maxRetries: 2,
        dependencies: ['task-123'],
        metadata: {
          userId: 'user-456',
          projectId: 'project-789'
        },
        retryDelay: 5
      }
    );
    console.log(JSON.stringify(workerManager.getTask(taskId).metadata));
  `);
  expect(lines).toEqual(['{"userId":"user-456","projectId":"project-789"}', "retry 1", "retry 2", "ENOENT"]);
});

test("submit multiple tasks", async () => {
  const { lines } = await run(`
    const workerManager = createWorkerManager();
    workerManager.on("taskCompleted", ({ task }) => console.log(task.type));
    const taskIds = [];

    const taskId1 = await workerManager.submitTask(
      WorkerTaskType.DATA_PROCESSING,
      { input: 'data1.csv' },
      null,
      { priority: TaskPriority.HIGH }
    );
    taskIds.push(taskId1);

    const taskId2 = await workerManager.submitTask(
      WorkerTaskType.ANALYSIS,
      { analysisType: 'statistical' },
      null,
      {
        priority: TaskPriority.NORMAL,
        dependencies: [taskId1]
      }
    );
    taskIds.push(taskId2);

    const parentId = await workerManager.submitTask(
      WorkerTaskType.COMPUTATION,
      { computation: 'merge_results' },
      (error, result) => {
        if (error) {
          console.error('Parent task failed:', error);
        } else {
          console.log('All dependencies completed:', result);
        }
      },
      {
        priority: TaskPriority.CRITICAL,
        dependencies: taskIds
      }
    );
  `);
  expect(lines).toEqual([
    "DATA_PROCESSING",
    "ANALYSIS",
    "All dependencies completed: { computation: 'merge_results', result: { results: [], count: 0 } }",
    "COMPUTATION",
  ]);
});

test("monitoring and metrics, health check", async () => {
  const { lines } = await run(`
    const workerManager = createWorkerManager();
    await workerManager.ready();
    const metrics = workerManager.getMetrics();
    console.log(Object.keys(metrics).slice(0, 13).join());
    const workerStatus = workerManager.getWorkerStatus();
    console.log(workerStatus.map(({ id, state, currentTask, tasksCompleted, tasksFailed, isHealthy }) =>
      [id, state, currentTask, tasksCompleted, tasksFailed, isHealthy].join()).join(" "));
    workerManager.on('workerHeartbeat', (worker) => {
      console.log(\`Worker \${worker.id} heartbeat received\`);
    });

    workerManager.on('workerError', ({ worker, error }) => {
      console.error(\`Worker \${worker.id} error:\`, error);
    });
    await workerManager.performHealthChecks();
  `);
  expect(lines[0]).toBe(
    "totalWorkers,activeWorkers,idleWorkers,unhealthyWorkers,pendingTasks,runningTasks,completedTasks,failedTasks," +
      "averageTaskDuration,averageQueueTime,throughput,cpuUtilization,memoryUtilization",
  );
  expect(lines[1]).toBe("worker-1,IDLE,,0,0,true worker-2,IDLE,,0,0,true");
  expect(lines.slice(2).sort()).toEqual([
    "Worker worker-1 heartbeat received",
    "Worker worker-2 heartbeat received",
  ]);
});

test("cancel task, monitor progress", async () => {
  const { lines } = await run(`
    writeFileSync("analysis.mjs", "export default async (payload, { progress }) => { progress(50); return payload; };");
    const workerManager = createWorkerManager({ handlers: { ANALYSIS: "./analysis.mjs" } });
    const cancelled = await workerManager.cancelTask('task-123');

    if (cancelled) {
      console.log('Task cancelled successfully');
    } else {
      console.log('Task not found or cannot be cancelled');
    }
    workerManager.on('taskProgress', ({ task, worker, progress }) => {
      console.log(\`Task \${task.id}: \${progress}% complete\`);
    });

    const taskId = await workerManager.submitTask(
      WorkerTaskType.ANALYSIS,
      { dataset: 'large' },
      (error, result) => {
        console.log(error, result);
      },
      { priority: TaskPriority.NORMAL }
    );
  `);
  expect(lines).toEqual([
    "Task not found or cannot be cancelled",
    "Task task-1: 50% complete",
    "null { dataset: 'large' }",
  ]);
});

test("available events", async () => {
  const { lines } = await run(`
    writeFileSync("custom.cjs", "module.exports = ({ fail, spin }) => { if (fail) throw new Error('no'); if (spin) for (;;); };");
    const workerManager = createWorkerManager({
      minWorkers: 1, maxWorkers: 2, scaleUpCooldown: 0, maxRetries: 0, autoScaleInterval: 5, workerIdleTimeout: 20,
      metricsInterval: 10, handlers: { CUSTOM: "./custom.cjs" },
    });
    const seen = new Set();
    workerManager.on('taskSubmitted', (task) => {
      seen.add('Task submitted: ' + task.id);
    });

    workerManager.on('taskAssigned', ({ task, worker }) => {
      seen.add(\`Task \${task.id} assigned to \${worker.id.replace(/\\d/, "n")}\`);
    });

    workerManager.on('taskCompleted', ({ task, worker }) => {
      seen.add(\`Task \${task.id} completed\`);
      seen.add('Duration: ' + typeof (task.completedAt - task.startedAt) + ' ms');
    });

    workerManager.on('taskFailed', ({ task, worker }) => {
      seen.add(\`Task \${task.id} failed: \${task.error.message}\`);
    });

    workerManager.on('taskTimeout', ({ task, worker }) => {
      seen.add(\`Task \${task.id} timed out\`);
    });

    workerManager.on('workerCreated', (worker) => {
      seen.add('New worker created');
    });

    workerManager.on('workerExited', ({ worker, exitCode }) => {
      seen.add('Worker exited with code ' + exitCode);
    });

    workerManager.on('workerTerminated', (worker) => {
      seen.add('Worker terminated');
    });

    workerManager.on('scaledUp', ({ workerCount }) => {
      seen.add(\`Scaled up to \${workerCount} workers\`);
    });

    workerManager.on('metricsUpdated', (metrics) => {
      seen.add('Updated metrics: ' + typeof metrics.throughput + ' tasks/sec');
    });
    const scaledDown = new Promise((resolve) => workerManager.on('scaledDown', ({ workerCount }) => {
      seen.add(\`Scaled down to \${workerCount} workers\`);
      resolve();
    }));
    await workerManager.submitTask("CUSTOM", {});
    await workerManager.submitTask("CUSTOM", { fail: true });
    await workerManager.submitTask("CUSTOM", { spin: true }, null, { timeout: 50 });
    await workerManager.submitTask("CUSTOM", { spin: true }, null, { timeout: 50 });
    const keepAlive = setInterval(() => {}, 1000);
    await workerManager.onIdle();
    await workerManager.scaleUp();
    await scaledDown;
    await workerManager.shutdown();
    clearInterval(keepAlive);
    console.log(JSON.stringify([...seen].sort()));
  `);
  const seen = JSON.parse(lines[0]!) as string[];
  expect(seen).toEqual(
    expect.arrayContaining([
      "Duration: number ms",
      "New worker created",
      "Scaled down to 1 workers",
      "Scaled up to 2 workers",
      "Task submitted: task-1",
      "Task task-1 assigned to worker-n",
      "Task task-1 completed",
      "Task task-2 failed: no",
      "Task task-3 failed: Task task-3 timed out after 50 ms",
      "Task task-3 timed out",
      "Updated metrics: number tasks/sec",
      "Worker exited with code 1",
      "Worker terminated",
    ]),
  );
});

test("complete example", async () => {
  const { lines } = await run(`
    async function main() {
      const workerManager = createWorkerManager({
        minWorkers: 2,
        maxWorkers: 8,
        taskTimeout: 30000,
        enableAutoScaling: true,
        enableHealthChecks: true
      });

      workerManager.on('taskCompleted', ({ task }) => {
        console.log(\`Task \${task.id} completed in \${task.completedAt - task.startedAt}ms\`);
      });

      workerManager.on('taskFailed', ({ task }) => {
        console.error(\`Task \${task.id} failed:\`, task.error);
      });

      workerManager.on('scaledUp', ({ workerCount }) => {
        console.log(\`Scaled up to \${workerCount} workers\`);
      });

      workerManager.on('scaledDown', ({ workerCount }) => {
        console.log(\`Scaled down to \${workerCount} workers\`);
      });

      try {
        const taskPromises = Array.from({ length: 20 }, (_, i) => {
          return workerManager.submitTask(
            WorkerTaskType.DATA_PROCESSING,
            {
              data: Array.from({ length: 1000 }, (_, j) => ({ id: i * 1000 + j, value: Math.random() })),
              iteration: i
            },
            (error, result) => {
              if (error) {
                console.error(\`Task \${i} error:\`, error.message);
              } else {
                console.log(\`Task \${i} processed \${result.data.length} items\`);
              }
            },
            {
              priority: i < 5 ? TaskPriority.HIGH : TaskPriority.NORMAL,
              timeout: 20000
            }
          );
        });

        const taskIds = await Promise.all(taskPromises);
        console.log(\`Submitted \${taskIds.length} tasks\`);

        await new Promise(resolve => setTimeout(resolve, 5000));

        const metrics = workerManager.getMetrics();
        console.log('Current metrics:', metrics.completedTasks);

        const parentId = await workerManager.submitTask(
          WorkerTaskType.ANALYSIS,
          {
            type: 'aggregate',
            tasks: taskIds.slice(0, 10)
          },
          (error, result) => {
            if (error) {
              console.error('Aggregate task failed:', error);
            } else {
              console.log('Aggregate result:', result.summary.count);
            }
          },
          {
            priority: TaskPriority.CRITICAL,
            dependencies: taskIds.slice(0, 10)
          }
        );

        await new Promise(resolve => setTimeout(resolve, 3000));

        const finalMetrics = workerManager.getMetrics();
        console.log('\\n=== Final Statistics ===');
        console.log('Total tasks:', finalMetrics.completedTasks + finalMetrics.failedTasks);
        console.log('Completed:', finalMetrics.completedTasks);
        console.log('Failed:', finalMetrics.failedTasks);
        console.log('Average duration:', typeof Math.round(finalMetrics.averageTaskDuration), 'ms');
        console.log('Throughput:', typeof finalMetrics.throughput.toFixed(2), 'tasks/sec');

      } finally {
        await workerManager.shutdown();
        console.log('Worker manager shut down');
      }
    }

    main().catch(console.error);
  `);
  const processed = lines.filter((line) => line.includes("processed 1000 items"));
  expect(processed).toHaveLength(20);
  expect(lines.filter((line) => /^Task task-\d+ completed in \d+ms$/.test(line))).toHaveLength(21);
  expect(lines).toContain("Submitted 20 tasks");
  expect(lines).toContain("Aggregate result: 0");
  expect(lines.slice(-6)).toEqual([
    "Total tasks: 21",
    "Completed: 21",
    "Failed: 0",
    "Average duration: number ms",
    "Throughput: string tasks/sec",
    "Worker manager shut down",
  ]);
});

test("custom worker script", async () => {
  const source = readFileSync(script("seed/worker-custom.js"), "utf8");
  const { lines } = await run(`
    writeFileSync("worker-custom.js", ${JSON.stringify(source)});
    const workerManager = createWorkerManager({
      workerScriptPath: './worker-custom.js',
      maxRetries: 0,
    });
    const { processed } = await workerManager.run("CUSTOM", { data: [{ id: 1 }, { id: 2 }] });
    console.log(processed.map((item) => [item.id, item.processed, typeof item.timestamp].join()).join(" "));
    await workerManager.run("CUSTOM", {}).catch((error) => console.log(error.message));
    await workerManager.performHealthChecks();
    console.log(workerManager.getWorkerStatus().every((worker) => worker.isHealthy));
  `);
  expect(lines).toEqual(["1,true,number 2,true,number", "Invalid payload", "true"]);
});

test("performance tuning", async () => {
  const { lines } = await run(`
    const highPerfConfig = {
      minWorkers: os.cpus().length,
      maxWorkers: os.cpus().length * 2,
      maxTaskQueueSize: 5000,
      taskTimeout: 15000,
      workerIdleTimeout: 60000,
      scaleUpThreshold: 0.8,
      scaleDownThreshold: 0.2,
      scaleUpCooldown: 5000,
      scaleDownCooldown: 30000,
      backpressureThreshold: 0.95,
      maxTasksPerWorker: 1000,
      workerRecycleThreshold: 1000
    };

    const memoryIntensiveConfig = {
      minWorkers: 2,
      maxWorkers: 4,
      maxWorkerMemory: 1024 * 1024 * 1024,
      taskTimeout: 120000,
      workerIdleTimeout: 300000,
      scaleUpThreshold: 0.6,
      scaleDownThreshold: 0.3
    };
    for (const config of [highPerfConfig, memoryIntensiveConfig]) {
      const manager = createWorkerManager(config);
      console.log((await manager.run("COMPUTATION", { computation: "fibonacci", n: 10 })).result);
    }
  `);
  expect(lines).toEqual(["55", "55"]);
});

test("troubleshooting and debug mode", async () => {
  const { lines, stderr } = await run(`
    const workerManager = createWorkerManager({ minWorkers: 1, workerScriptPath: "./missing.js", maxCreationFailures: 1 });
    workerManager.on('error', ({ type, error, index }) => {
      if (type === 'worker_creation_failed') {
        console.error('Failed to create worker:', error, 'index:', index);
      }
    });
    const callback = (error) => console.log(error.code);
    await workerManager.submitTask(
      WorkerTaskType.ANALYSIS,
      { complexAnalysis: true },
      callback,
      { timeout: 120000 }
    );
    await workerManager.onIdle();
    const debugWorkerManager = createWorkerManager({
      minWorkers: 1,
      enableDebugLogging: true
    });

    debugWorkerManager.on('taskSubmitted', (task) => console.log(task.id));
    await debugWorkerManager.run("ANALYSIS", {});
  `);
  expect(stderr).toContain("Failed to create worker:");
  expect(stderr).toContain("index: 0");
  expect(lines[0]).toBe("WORKER_UNAVAILABLE");
  expect(lines).toContain("task-1");
  expect(lines.some((line) => line.startsWith("[worker-threads] taskCompleted"))).toBe(true);
});
