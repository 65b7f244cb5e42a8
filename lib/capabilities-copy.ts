import type { WorkerCapabilities } from "./types.js";

/**
 * What the native core was last told of a worker's capabilities.
 *
 * `info.capabilities` is one plain object per session, which users may edit and which then counts. A Proxy would show
 * (it cannot be cloned), accessors would too, so edits are found by comparing with this copy; see
 * docs/decisions/0001-live-objects.md.
 */
export class CapabilitiesCopy {
  readonly #max: unknown;
  readonly #modelIds: readonly unknown[];
  readonly #categories: readonly string[];
  readonly #limits: readonly unknown[];

  constructor({ maxConcurrentRequests, models, concurrencyLimits }: Partial<WorkerCapabilities>) {
    this.#max = maxConcurrentRequests;
    this.#modelIds = Array.isArray(models) ? models.map((model) => model?.modelId) : [];
    this.#categories = Object.keys(concurrencyLimits ?? {});
    this.#limits = Object.values(concurrencyLimits ?? {});
  }

  /** Whether the object says the same as what was copied. */
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

  /** Whether it may be kept though nobody has it any more. */
  get isSmall(): boolean {
    const parts = [...this.#modelIds, ...this.#categories];
    const text = parts.filter((part) => typeof part === "string").join("");
    return parts.length <= MOST_PARTS && text.length <= MOST_CHARACTERS;
  }

  #limitsMatch(limits: Record<string, unknown> | null | undefined): boolean {
    const categories = this.#categories;
    if (limits === undefined || limits === null) return categories.length === 0;
    // Without arrays and functions: this runs before every selection.
    for (let i = 0; i < categories.length; i++) {
      if (!Object.is(limits[categories[i]!], this.#limits[i])) return false;
    }
    let count = 0;
    for (const _ in limits) count++;
    return count === categories.length || Object.keys(limits).length === categories.length;
  }
}

/** Most copies kept for those who come, and how large one of them may be: workers say what they like. */
const MOST_COPIES = 256;
const MOST_PARTS = 64;
const MOST_CHARACTERS = 4_096;

/** The copies of a fleet, most of whose workers can do what others can: these share one. */
export class CapabilitiesCopies {
  /** By the first model, of whatever kind its id is. */
  readonly #latest = new Map<unknown, CapabilitiesCopy>();

  of(capabilities: Partial<WorkerCapabilities>): CapabilitiesCopy {
    const { models } = capabilities;
    const model: unknown = Array.isArray(models) ? models[0]?.modelId : undefined;
    const latest = this.#latest.get(model);
    if (latest?.matches(capabilities)) return latest;
    const made = new CapabilitiesCopy(capabilities);
    if (made.isSmall) {
      if (this.#latest.size >= MOST_COPIES) this.#latest.clear();
      this.#latest.set(model, made);
    }
    return made;
  }
}
