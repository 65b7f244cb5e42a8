/**
 * Which registrations are accepted: the rules, bounds and words of the native side (`protocol/registration.rs` and
 * `protocol/refusal.rs` in crates/worker-core), for sockets of the application's own.
 */

const MOST_MODELS = 10_000;
const LONGEST_NAME_BYTES = 1_024;
const DEEPEST_CAPABILITIES = 128;
/** Longest part of a string that a refusal shows, in characters. */
const SHOWN_CHARACTERS = 32;

/**
 * What is wrong with a registration, as `field: expected something, got something`; `undefined`: nothing. A name or a
 * maximum may be missing: such a worker is merely never selected. The text is bounded and shows no token.
 */
export function invalidRegistration(message: Record<string, unknown>): string | undefined {
  const { workerId, workerName, capabilities, authToken } = message;
  const wrong = (field: string, expected: string, value: unknown): string =>
    `${field}: expected ${expected}, got ${shown(value, authToken)}`;

  if (isTooLong(workerId)) return tooLong("workerId", workerId);
  if (!["string", "number", "boolean"].includes(typeof workerId))
    return wrong("workerId", "a string, a number or a boolean", workerId);
  if (isTooLong(workerName)) return tooLong("workerName", workerName);
  if (!isObject(capabilities)) return wrong("capabilities", "an object", capabilities);
  if (!isFlat(capabilities, DEEPEST_CAPABILITIES))
    return `capabilities: expected at most ${DEEPEST_CAPABILITIES} levels of nesting, got more`;
  return (
    invalidModels(capabilities["models"], wrong) ??
    (isMaximum(capabilities["maxConcurrentRequests"])
      ? undefined
      : wrong("capabilities.maxConcurrentRequests", "a number >= 0", capabilities["maxConcurrentRequests"]))
  );
}

function invalidModels(
  models: unknown,
  wrong: (field: string, expected: string, value: unknown) => string,
): string | undefined {
  const field = "capabilities.models";
  if (!Array.isArray(models)) return wrong(field, "an array", models);
  for (const [index, model] of models.entries()) {
    if (index === MOST_MODELS) return `${field}: expected at most ${MOST_MODELS} models, got more`;
    if (!isObject(model)) return wrong(`${field}[${index}]`, "an object", model);
    const { modelId } = model;
    if (typeof modelId !== "string") return wrong(`${field}[${index}].modelId`, "a string", modelId);
  }
  return undefined;
}

function isTooLong(text: unknown): text is string {
  return typeof text === "string" && Buffer.byteLength(text) > LONGEST_NAME_BYTES;
}

function tooLong(field: string, text: string): string {
  return `${field}: expected at most ${LONGEST_NAME_BYTES} bytes, got ${Buffer.byteLength(text)} bytes`;
}

/** A value of a JSON message in few words. */
function shown(value: unknown, token: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (isObject(value)) return "an object";
  if (typeof value !== "string") return String(value);
  if (typeof token === "string" && token !== "" && (value.includes(token) || token.includes(value)))
    return "a string";
  const start = [...value].slice(0, SHOWN_CHARACTERS).join("");
  return JSON.stringify(start === value ? value : `${start}...`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value has no more than so many levels of arrays and objects. */
function isFlat(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((part) => isFlat(part, levels - 1));
}

function isMaximum(max: unknown): boolean {
  return max === undefined || (Number.isFinite(max) && (max as number) >= 0);
}
