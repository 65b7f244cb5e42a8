/**
 * Choosing among workers that are plain objects: the rules of the native pool, read off the objects themselves.
 *
 * Any field may have been edited since the last question, so each question has to read what it depends on anyway; there
 * is nothing left that a copy on the native side could save. See docs/decisions/0005-plain-workers.md.
 */
import type { ConnectedWorker, ModelInfo } from "./types.js";
import { WorkerStatus } from "./worker-status.js";

/**
 * The available worker with the lowest load that serves a model and a category; the first one among equals.
 *
 * `looksAtAll`: capabilities that are not what their type says throw a TypeError wherever they are. If not, only the models
 * of those are looked at whose load is lower than what was found, which among equals is one of all.
 */
export function leastLoaded(
  workers: readonly ConnectedWorker[],
  model: string,
  category: string | undefined,
  looksAtAll: boolean,
): ConnectedWorker | null {
  let best: ConnectedWorker | null = null;
  let lowestLoad = Infinity;
  const available = WorkerStatus.Available;
  for (let i = 0; i < workers.length; i++) {
    const worker = workers[i]!;
    if (worker.status !== available) continue;
    const { capabilities, activeRequests } = worker;
    const max = capabilities?.maxConcurrentRequests;
    const load = activeRequests / max;
    if (!looksAtAll && !(load < lowestLoad)) continue;
    if (!serves(capabilities.models, model)) continue;
    if (!(activeRequests < max && max > 0)) continue;
    if (category !== undefined && isAtLimit(worker, category)) continue;
    if (load < lowestLoad) {
      lowestLoad = load;
      best = worker;
    }
  }
  return best;
}

/**
 * Requests that the available workers for a model and a category still take, of which a fraction of a limit is none;
 * negative if they are over their limits.
 */
export function freeSlots(
  workers: readonly ConnectedWorker[],
  model: string,
  category: string | undefined,
): number {
  let sum = 0;
  const available = WorkerStatus.Available;
  for (let i = 0; i < workers.length; i++) {
    const worker = workers[i]!;
    if (worker.status !== available) continue;
    const { capabilities } = worker;
    if (!serves(capabilities.models, model)) continue;
    let free = Math.floor(capabilities.maxConcurrentRequests) - worker.activeRequests;
    if (category !== undefined) free = Math.min(free, freeInCategory(worker, category));
    // NaN: a maximum or a limit that is no number.
    sum += free || 0;
  }
  // Infinities of both signs; and -0.
  return sum || 0;
}

/** Names match if they are equal or one contains the other. */
function serves(models: readonly ModelInfo[], wanted: string): boolean {
  for (let i = 0; i < models.length; i++) {
    const { modelId } = models[i]!;
    if (modelId === wanted || modelId.includes(wanted) || wanted.includes(modelId)) return true;
  }
  return false;
}

/** Limits of null are no limits that could be asked for a category: a TypeError. */
function isAtLimit({ capabilities, categoryActiveRequests }: ConnectedWorker, category: string): boolean {
  const limits = capabilities.concurrencyLimits;
  if (limits === undefined || !(category in limits)) return false;
  // Compared as JavaScript does: a limit of null is 0, one of undefined is none. What every object inherits is none.
  return (categoryActiveRequests.get(category) ?? 0) >= limits[category]! && Object.hasOwn(limits, category);
}

function freeInCategory({ capabilities, categoryActiveRequests }: ConnectedWorker, category: string): number {
  const limits = capabilities.concurrencyLimits;
  const limit = limits?.[category];
  // What every object inherits is no number; and to ask whether a key is its own takes as long as all the rest.
  if (limit === undefined || (typeof limit !== "number" && !Object.hasOwn(limits!, category)))
    return Infinity;
  return Math.floor(limit) - (categoryActiveRequests.get(category) ?? 0);
}
