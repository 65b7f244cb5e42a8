/** Which registrations are accepted; the same rules and bounds as on the native side (`Limits`). */

const MOST_MODELS = 10_000;
const LONGEST_NAME_BYTES = 1_024;
const DEEPEST_CAPABILITIES = 128;

/** Whether everything a pool depends on is there. A name or a maximum may be missing: such a worker is merely never selected. */
export function isValidRegistration(message: Record<string, unknown>): boolean {
  const { workerId, workerName, capabilities } = message;
  return (
    ["string", "number", "boolean"].includes(typeof workerId) &&
    isShort(workerId) &&
    isShort(workerName) &&
    isObject(capabilities) &&
    isFlat(capabilities, DEEPEST_CAPABILITIES) &&
    areModels(capabilities.models) &&
    isMaximum(capabilities.maxConcurrentRequests)
  );
}

function isShort(text: unknown): boolean {
  return typeof text !== "string" || Buffer.byteLength(text) <= LONGEST_NAME_BYTES;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value has no more than so many levels of arrays and objects. */
function isFlat(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((part) => isFlat(part, levels - 1));
}

function areModels(models: unknown): boolean {
  if (!Array.isArray(models) || models.length > MOST_MODELS) return false;
  return models.every((model) => isObject(model) && typeof model.modelId === "string");
}

function isMaximum(max: unknown): boolean {
  return max === undefined || (Number.isFinite(max) && (max as number) >= 0);
}
