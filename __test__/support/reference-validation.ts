/**
 * Which registrations are refused with 4002: those that the original would have choked on, or whose size nobody needs.
 * See docs/migrating.md.
 */
export function isValidRegistration(message: any): boolean {
  const { workerId, workerName, capabilities } = message;
  return (
    ["string", "number", "boolean"].includes(typeof workerId) &&
    isShort(workerId) &&
    isShort(workerName) &&
    isObject(capabilities) &&
    isMaximum(capabilities.maxConcurrentRequests) &&
    Array.isArray(capabilities.models) &&
    capabilities.models.length <= 10_000 &&
    capabilities.models.every((model: any) => isObject(model) && typeof model.modelId === "string") &&
    depthOf(capabilities) <= 128
  );
}

function isShort(value: unknown): boolean {
  return typeof value !== "string" || Buffer.byteLength(value) <= 1_024;
}

function isObject(value: unknown): value is Record<string, any> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A worker that does not say how much it takes is accepted, and never selected. */
function isMaximum(value: unknown): boolean {
  return value === undefined || (Number.isFinite(value) && (value as number) >= 0);
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
