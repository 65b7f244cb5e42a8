import { finalError } from "./error-fields.js";
import type { Handler, HandlerContext } from "./handler.js";

/** Handlers of the task types that need no module. */
export const builtInHandlers: Readonly<Record<string, Handler>> = {
  DATA_PROCESSING: processData,
  COMPUTATION: compute,
};

type Fields = Record<string, unknown>;

const dataOperations: Readonly<Record<string, (data: unknown[]) => unknown[]>> = {
  reverse: (data) => data.map((_item, index) => data[data.length - 1 - index]),
  sort: sorted,
  unique: (data) => [...new Set(data)],
  flatten: (data) => data.flat(),
};

/** Returns the payload with its `data` processed, and `processed`: the number of items. */
function processData(payload: unknown): unknown {
  const fields = fieldsOf(payload);
  const data = fields.data ?? [];
  if (!Array.isArray(data)) throw invalid("data must be an array");
  const { operation } = fields;
  if (operation === undefined) return { ...fields, data, processed: data.length };
  const process = typeof operation === "string" ? dataOperations[operation] : undefined;
  if (process === undefined)
    throw invalid(`operation must be one of ${Object.keys(dataOperations).join(", ")}`);
  return { ...fields, data: process(data), processed: data.length };
}

const computations: Readonly<Record<string, (fields: Fields, context: HandlerContext) => unknown>> = {
  merge_results: (_fields, { dependencyResults = {} }) => ({
    results: Object.values(dependencyResults),
    count: Object.keys(dependencyResults).length,
  }),
  sum: ({ data }) => numbersOf(data).reduce((sum, value) => sum + value, 0),
  product: ({ data }) => numbersOf(data).reduce((product, value) => product * value, 1),
  factorial: ({ n }) => factorial(countOf(n, 170)),
  fibonacci: ({ n }) => fibonacci(countOf(n, 1476)),
  primes: ({ n }) => primes(countOf(n, 50_000_000)),
};

/** `{ computation, result }`. */
function compute(payload: unknown, context: HandlerContext): unknown {
  const fields = fieldsOf(payload);
  const { computation } = fields;
  const run = typeof computation === "string" ? computations[computation] : undefined;
  if (run === undefined) throw invalid(`computation must be one of ${Object.keys(computations).join(", ")}`);
  return { computation, result: run(fields, context) };
}

function factorial(n: number): number {
  let result = 1;
  for (let factor = 2; factor <= n; factor++) result *= factor;
  return result;
}

function fibonacci(n: number): number {
  let [current, next] = [0, 1];
  for (let step = 0; step < n; step++) [current, next] = [next, current + next];
  return current;
}

/** All primes up to and including `n`. */
function primes(n: number): number[] {
  const isComposite = new Uint8Array(n + 1);
  const found: number[] = [];
  for (let candidate = 2; candidate <= n; candidate++) {
    if (isComposite[candidate] === 1) continue;
    found.push(candidate);
    for (let multiple = candidate * candidate; multiple <= n; multiple += candidate)
      isComposite[multiple] = 1;
  }
  return found;
}

function fieldsOf(payload: unknown): Fields {
  if (typeof payload !== "object" || payload === null) throw invalid("the payload must be an object");
  return payload as Fields;
}

function numbersOf(data: unknown): number[] {
  if (!Array.isArray(data) || !data.every((value) => typeof value === "number"))
    throw invalid("data must be an array of numbers");
  return data as number[];
}

function countOf(value: unknown, most: number): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > most)
    throw invalid(`n must be an integer from 0 to ${String(most)}`);
  return value as number;
}

function sorted(data: readonly unknown[]): unknown[] {
  const copy = [...data];
  copy.sort(compare);
  return copy;
}

/** Numbers by value, all else by text. */
function compare(left: unknown, right: unknown): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  return String(left) < String(right) ? -1 : Number(String(left) > String(right));
}

function invalid(message: string): Error {
  return finalError(message, "INVALID_PAYLOAD");
}
