import type { GeneratedTask, WorkerKind } from "./kinds.js";

/** Which files are written. */
export interface Format {
  readonly name: string;
  readonly type: "browser" | "server";
  readonly isModule: boolean;
  readonly isTypeScript: boolean;
}

/** The name of the package, which the example imports. */
const PACKAGE = "worker-server-native";
/** The longest line of generated files, as formatters have it. */
const WIDTH = 80;

/** The worker script. */
export function workerSource(kind: WorkerKind, format: Format): string {
  const { name, type, isTypeScript } = format;
  const typed = (text: string): string => (isTypeScript ? text : "");
  const isServer = type === "server";
  const send = isServer ? "port.postMessage" : "self.postMessage";
  const message = isTypeScript ? "message: object" : "message";
  const lines = [
    `// ${name}: ${kind.description}`,
    `// Tasks: ${kind.tasks.map((task) => task.name).join(", ")}`,
    ...(isServer ? ["", ...portLines(format)] : []),
    ...(isTypeScript && !isServer ? ["", ...scopeLines] : []),
    "",
    "// What the worker can do. A task gets its params; it returns or throws.",
    `const tasks${typed(": Record<string, (params: any) => unknown>")} = {`,
    ...kind.tasks.flatMap(taskLines),
    "};",
    "",
    "// The host tells the id; it is on every message to the host.",
    `let workerId${typed(": string | null")} = null;`,
    "",
    `function reply(${message}) {`,
    `  ${send}({ ...message, workerId });`,
    "}",
    "",
    `async function run(taskId${typed(": string")}, name${typed(": string")}, params${typed(": any")}) {`,
    "  try {",
    "    const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;",
    "    if (task === undefined) throw new Error(`Unknown task: ${name}`);",
    "    const content = await task(params);",
    '    reply({ message: "worker-response", taskId, content });',
    "  } catch (error) {",
    "    const text = error instanceof Error ? error.message : String(error);",
    '    reply({ message: "worker-response", taskId, error: text });',
    "  }",
    "}",
    "",
    isServer
      ? `port.on("message", (data${typed(": any")}) => {`
      : `self.onmessage = ({ data }${typed(": { data: any }")}) => {`,
    "  switch (data.message) {",
    '    case "init-worker":',
    "      workerId = data.id;",
    '      reply({ message: "worker-ready", content: { tasks: data.content } });',
    "      break;",
    '    case "worker-work":',
    "      run(data.taskId, data.content.name, data.content.params);",
    "      break;",
    "  }",
    isServer ? "});" : "};",
  ];
  return `${lines.join("\n")}\n`;
}

function portLines({ isModule, isTypeScript }: Format): string[] {
  // TypeScript turns the import into what the module needs.
  const load =
    isModule || isTypeScript
      ? 'import { parentPort } from "node:worker_threads";'
      : 'const { parentPort } = require("node:worker_threads");';
  return [load, "", `const port = parentPort${isTypeScript ? "!" : ""};`];
}

/** The types of a browser's worker are not those of its pages. */
const scopeLines = [
  "declare const self: {",
  "  postMessage(message: unknown): void;",
  "  onmessage: (event: { data: any }) => void;",
  "};",
];

function taskLines({ name, comment, body, isAsync }: GeneratedTask): string[] {
  const indented = body.split("\n").map((line) => `    ${line}`);
  return [`  // ${comment}`, `  ${isAsync === true ? "async " : ""}${name}(params) {`, ...indented, "  },"];
}

/** The program that uses the worker. */
export function exampleSource(kind: WorkerKind, format: Format, workerFile: string): string {
  const isServer = format.type === "server";
  const isImporting = format.isModule || format.isTypeScript || !isServer;
  const manager = isServer ? "ServerWorkerManager" : "BrowserWorkerManager";
  const entry = `${PACKAGE}/tasks/${format.type}`;
  const names = kind.tasks.map(({ name }) => JSON.stringify(name)).join(", ");
  const lines = [
    `// How to use ${workerFile}.${format.isTypeScript && isServer ? " Compile both first." : ""}`,
    ...(isServer && !format.isModule
      ? [isImporting ? 'import { join } from "node:path";' : 'const { join } = require("node:path");']
      : []),
    ...(isImporting
      ? ["import {", `  ${manager},`, "  TaskManager,", `} from "${entry}";`]
      : [`const tasks = require("${entry}");`, "", `const { ${manager}, TaskManager } = tasks;`]),
    "",
    "const taskManager = new TaskManager();",
    "",
    `const workerManager = new ${manager}({`,
    "  manager: taskManager,",
    "  configs: [",
    "    {",
    `      tasks: [${names}],`,
    ...sourceLines(format, workerFile).map((line) => `      ${line}`),
    "    },",
    "  ],",
    "});",
    "",
    `let left = ${kind.examples.length};`,
    ...kind.examples.flatMap(({ task, params }) => [
      "",
      "taskManager.addTask({",
      `  name: ${JSON.stringify(task)},`,
      ...paramsLines(params),
      `  onSuccess: ({ content }) => finish("${task}", content),`,
      `  onError: ({ error }) => finish("${task}", \`failed: \${error}\`),`,
      "});",
    ]),
    "",
    ...finishLines(format),
  ];
  return `${lines.join("\n")}\n`;
}

/** One field on each line where they do not fit on one. */
function paramsLines(fields: readonly string[]): string[] {
  const line = `  params: { ${fields.join(", ")} },`;
  if (line.length <= WIDTH) return [line];
  return ["  params: {", ...fields.map((field) => `    ${field},`), "  },"];
}

function sourceLines({ type, isModule }: Format, workerFile: string): string[] {
  if (type === "server") {
    const compiled = workerFile.replace(/ts$/, "js");
    return isModule
      ? [`script: new URL("./${compiled}", import.meta.url),`]
      : [`script: join(__dirname, "${compiled}"),`];
  }
  const url = `new URL("./${workerFile}", import.meta.url)`;
  if (!isModule)
    return [
      "// Bundlers find the worker where the text stands like this.",
      `create: () => new Worker(${url}),`,
    ];
  return [
    "// Bundlers find the worker where the text stands like this.",
    "create: () =>",
    `  new Worker(${url}, {`,
    '    type: "module",',
    "  }),",
  ];
}

function finishLines({ isTypeScript }: Format): string[] {
  const [name, result] = isTypeScript ? ["name: string", "result: unknown"] : ["name", "result"];
  return [
    `function finish(${name}, ${result}) {`,
    "  console.log(`${name}:`, result);",
    "  if (--left > 0) return;",
    "  // Cleanup: the workers first, then the task manager.",
    "  workerManager.close();",
    "  taskManager.close();",
    "}",
  ];
}
