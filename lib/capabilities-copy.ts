import type { WorkerCapabilities } from "./types.js";

/**
 * What the native core was last told of a worker's capabilities.
 *
 * `info.capabilities` is one plain object per session, which users may edit and which then counts. A Proxy would show
 * (it cannot be cloned), accessors would too, so edits are found by comparing with this copy; see
 * docs/decisions/0001-live-objects.md.
 */
export class CapabilitiesCopy {
  #max: unknown;
  #modelIds: readonly unknown[] = [];
  #limits: readonly (readonly [string, unknown])[] = [];

  constructor(capabilities: WorkerCapabilities) {
    this.update(capabilities);
  }

  /** Whether the object says the same as at the last `update`. */
  matches(capabilities: Partial<WorkerCapabilities>): boolean {
    const { maxConcurrentRequests, models, concurrencyLimits } = capabilities;
    // An edit may put in whatever it likes, NaN and null too, and must not count as a new one for ever.
    if (!Object.is(maxConcurrentRequests, this.#max)) return false;
    const ids = this.#modelIds;
    if (!Array.isArray(models)) return ids.length === 0 && this.#limitsMatch(concurrencyLimits);
    if (models.length !== ids.length) return false;
    for (let i = 0; i < ids.length; i++) if (!Object.is(models[i]?.modelId, ids[i])) return false;
    return this.#limitsMatch(concurrencyLimits);
  }

  update(capabilities: Partial<WorkerCapabilities>): void {
    const { maxConcurrentRequests, models, concurrencyLimits } = capabilities;
    this.#max = maxConcurrentRequests;
    this.#modelIds = Array.isArray(models) ? models.map((model) => model?.modelId) : [];
    this.#limits = Object.entries(concurrencyLimits ?? {});
  }

  #limitsMatch(limits: Record<string, unknown> | null | undefined): boolean {
    if (limits === undefined) return this.#limits.length === 0;
    let count = 0;
    // Without the array that Object.keys would make: this runs before every selection.
    for (const key in limits) if (Object.hasOwn(limits, key)) count++;
    return (
      count === this.#limits.length && this.#limits.every(([key, limit]) => Object.is(limits?.[key], limit))
    );
  }
}
