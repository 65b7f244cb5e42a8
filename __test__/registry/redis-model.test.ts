import { ClaudeFlowMemory, WorkerRegistry, type WorkerRegistryConfig } from "../../registry.js";
import { registryOn, useRedis } from "./redis-harness";

const STEPS = 400;
const CAPABILITIES = ["a", "b", "c"];
const CONFIG: WorkerRegistryConfig = { weights: { capacity: 0.4, success: 0.35, speed: 0.25 } };

const redis = useRedis();

/** The same numbers for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Both registries, and the ids of the same workers in each. */
class Pair {
  readonly ids: Array<[string, string]> = [];
  readonly registries: [WorkerRegistry, WorkerRegistry];

  constructor(...registries: [WorkerRegistry, WorkerRegistry]) {
    this.registries = registries;
  }

  /** Does the same in both, one after the other; the results must be equal. */
  async both(step: (registry: WorkerRegistry, id: (number: number) => string) => Promise<unknown>) {
    const results = [];
    for (const [index, registry] of this.registries.entries()) {
      results.push(this.plain(await step(registry, (number) => this.ids[number]![index]!)));
    }
    expect(results[1]).toEqual(results[0]);
  }

  /** Without what differs: ids are random, clocks are two. */
  plain(value: any): any {
    if (Array.isArray(value)) return value.map((one) => this.plain(one));
    if (typeof value !== "object" || value === null) return value;
    const { id: _id, lastHeartbeat: _beat, startedAt: _start, ...rest } = value;
    return rest;
  }
}

test.each([1, 2, 3])("the scripts do what the embedded store does (seed %d)", async (seed) => {
  const random = randomFrom(seed);
  const embedded = new WorkerRegistry({ memory: new ClaudeFlowMemory(), ...CONFIG });
  const pair = new Pair(embedded, registryOn(redis(), CONFIG));
  const some = (): string[] => CAPABILITIES.filter(() => random(3) === 0);

  for (let step = 0; step < STEPS; step += 1) {
    const kind = pair.ids.length === 0 ? 0 : random(10);
    const target = random(Math.max(pair.ids.length, 1));
    if (kind === 0) {
      const registration = {
        nodeId: `node-${step}`,
        capabilities: some(),
        maxConcurrentTasks: 1 + random(6),
      };
      const workers = [];
      for (const registry of pair.registries) workers.push(await registry.registerWorker(registration));
      pair.ids.push([workers[0]!.id, workers[1]!.id]);
    } else if (kind === 1) {
      const delta = random(6) - 2;
      await pair.both((registry, id) => registry.updateTaskCount(id(target), delta));
    } else if (kind === 2) {
      const [success, duration] = [random(3) > 0, random(3000) / 7];
      await pair.both((registry, id) => registry.recordTaskCompletion(id(target), success, duration));
    } else if (kind === 3) {
      const draining = random(2) === 0;
      await pair.both((registry, id) => registry.setDraining(id(target), draining));
    } else if (kind === 4) {
      await pair.both((registry, id) => registry.heartbeat(id(target)));
    } else if (kind === 5) {
      const metrics = { tasksCompleted: random(50), averageTaskDuration: random(9000) / 3 };
      await pair.both((registry, id) => registry.updateMetrics(id(target), metrics));
    } else if (kind < 8) {
      const [capabilities, count] = [some(), 1 + random(2)];
      await pair.both((registry) => registry.tryAcquire({ capabilities }, count));
    } else {
      const filter = { capabilities: some(), minAvailableCapacity: random(4) - 1 };
      await pair.both((registry) => registry.discoverWorkers(filter));
      await pair.both((registry) => registry.getWorkersForLoadBalancing({ ...filter, limit: 3 }));
    }
  }
  await pair.both((registry) => registry.getWorkersForLoadBalancing());
  await embedded.close();
});
