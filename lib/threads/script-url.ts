import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ValidationError } from "./errors.js";
import type { HandlerModule, WorkerManagerConfig } from "./types.js";
import { WorkerTaskType } from "./enums.js";

/** What a thread loads. */
export interface ThreadModules {
  /** URL of the script that runs all tasks. */
  readonly script: string | undefined;
  /** Modules by task type. */
  readonly handlers: Readonly<Record<string, { url: string; name: string | undefined }>>;
}

type Modules = { [K in "workerScriptPath" | "handlers"]: WorkerManagerConfig[K] | undefined };

/** @throws ValidationError if a path, URL or task type of the configuration is not valid */
export function modulesOf({ workerScriptPath, handlers }: Modules): ThreadModules {
  return {
    script: workerScriptPath === undefined ? undefined : moduleUrl(workerScriptPath, "workerScriptPath"),
    handlers: handlerUrls(handlers),
  };
}

/** The URL of a module: a `file:` URL stays, a path is taken relative to the working directory. */
function moduleUrl(module: string | URL, field: string): string {
  if (module instanceof URL) return checked(module, field).href;
  if (/^file:/i.test(module)) return new URL(module).href;
  return pathToFileURL(isAbsolute(module) ? module : resolve(module)).href;
}

function checked(url: URL, field: string): URL {
  if (url.protocol !== "file:")
    throw new ValidationError(`${field} must be a path or a file: URL`, field, url);
  return url;
}

/** The modules of a configuration by task type. */
function handlerUrls(
  handlers: Modules["handlers"],
): Record<string, { url: string; name: string | undefined }> {
  const urls: Record<string, { url: string; name: string | undefined }> = {};
  for (const [type, module] of Object.entries(handlers ?? {})) {
    if (!Object.hasOwn(WorkerTaskType, type))
      throw new ValidationError(`Unknown task type: ${type}`, "handlers", type);
    if (module !== undefined) urls[type] = handlerUrl(module);
  }
  return urls;
}

function handlerUrl(module: HandlerModule): { url: string; name: string | undefined } {
  if (typeof module === "string" || module instanceof URL)
    return { url: moduleUrl(module, "handlers"), name: undefined };
  const { file, name } = module;
  if (typeof file !== "string" && !(file instanceof URL))
    throw new ValidationError("A handler needs a file", "handlers", module);
  return { url: moduleUrl(file, "handlers"), name };
}
