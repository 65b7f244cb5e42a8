/** A worker as tests register it. */
export function node(nodeId: string, capabilities: string[] = ["coder"], maxConcurrentTasks = 5) {
  return { nodeId, capabilities, maxConcurrentTasks };
}

/** Waits until `condition` holds, asking again and again. */
export async function eventually(condition: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
