/** A task of a generated worker. */
export interface GeneratedTask {
  readonly name: string;
  /** What the task does, as a comment above it. */
  readonly comment: string;
  /** Statements that return the result; `params` is there. */
  readonly body: string;
  /** Whether the statements wait for something. */
  readonly isAsync?: boolean;
}

/** One call of a usage example. */
export interface ExampleCall {
  readonly task: string;
  /** The fields of the parameters, as source text. */
  readonly params: readonly string[];
}

/** What a worker does, by the kind that its name tells. */
export interface WorkerKind {
  readonly description: string;
  /** Words in a name that stand for the kind. */
  readonly words: readonly string[];
  readonly tasks: readonly GeneratedTask[];
  readonly examples: readonly ExampleCall[];
}

const math: WorkerKind = {
  description: "Mathematical operations worker",
  words: ["math", "calc"],
  tasks: [
    { name: "add", comment: "{ a, b }: the sum.", body: "return params.a + params.b;" },
    { name: "subtract", comment: "{ a, b }: the difference.", body: "return params.a - params.b;" },
    { name: "multiply", comment: "{ a, b }: the product.", body: "return params.a * params.b;" },
    {
      name: "divide",
      comment: "{ a, b }: the quotient.",
      body: `if (params.b === 0) throw new Error("Division by zero is not allowed");
return params.a / params.b;`,
    },
    {
      name: "power",
      comment: "{ base, exponent }: the power.",
      body: "return params.base ** params.exponent;",
    },
    {
      name: "sqrt",
      comment: "{ value }: the square root.",
      body: `if (params.value < 0) {
  throw new Error("Cannot calculate square root of negative number");
}
return Math.sqrt(params.value);`,
    },
  ],
  examples: [
    { task: "add", params: ["a: 10", "b: 20"] },
    { task: "sqrt", params: ["value: 16"] },
    { task: "divide", params: ["a: 10", "b: 0"] },
  ],
};

const data: WorkerKind = {
  description: "Data processing worker",
  words: ["data", "api"],
  tasks: [
    {
      name: "fetch",
      comment: "{ url }: stands for a request that takes 100 ms.",
      body: `await new Promise((resolve) => setTimeout(resolve, 100));
return { data: params.url ? \`Data from \${params.url}\` : "Sample data" };`,
      isAsync: true,
    },
    {
      name: "transform",
      comment: "{ data }: the same fields, marked with the time.",
      body: "return { ...params.data, transformed: true, timestamp: Date.now() };",
    },
    {
      name: "validate",
      comment: "{ data, required }: which fields are missing.",
      body: `const errors = (params.required ?? [])
  .filter((field) => params.data?.[field] === undefined)
  .map((field) => \`Missing field: \${field}\`);
return { valid: errors.length === 0, errors };`,
    },
    {
      name: "filter",
      comment: "{ items, criteria: { field, value } }: the items whose field has the value.",
      body: `const { field, value } = params.criteria;
return params.items.filter((item) => item[field] === value);`,
    },
  ],
  examples: [
    { task: "fetch", params: ['url: "https://example.com/items"'] },
    { task: "validate", params: ['data: { name: "Ada" }', 'required: ["name", "email"]'] },
    {
      task: "filter",
      params: ['items: [{ kind: "a" }, { kind: "b" }]', 'criteria: { field: "kind", value: "a" }'],
    },
  ],
};

const image: WorkerKind = {
  description: "Image processing worker",
  words: ["image", "img"],
  tasks: [
    {
      name: "resize",
      comment: "{ image, width, height }: stands for scaling.",
      body: "return { ...params, resized: true };",
    },
    {
      name: "compress",
      comment: "{ image, quality }: stands for compression. Default quality: 80.",
      body: "return { quality: 80, ...params, compressed: true };",
    },
    {
      name: "filter",
      comment: '{ image, filter }: stands for a filter. Default: "grayscale".',
      body: 'return { filter: "grayscale", ...params, filtered: true };',
    },
    {
      name: "analyze",
      comment: "{ image }: stands for an analysis.",
      body: 'return { ...params, format: "jpeg", colors: ["red", "green", "blue"] };',
    },
  ],
  examples: [
    { task: "resize", params: ['image: "photo.jpg"', "width: 800", "height: 600"] },
    { task: "analyze", params: ['image: "photo.jpg"'] },
  ],
};

/** The kind that a name tells; the first of math, data and image that it contains, else math. */
export function kindOf(name: string): WorkerKind {
  const lower = name.toLowerCase();
  return [math, data, image].find(({ words }) => words.some((word) => lower.includes(word))) ?? math;
}
