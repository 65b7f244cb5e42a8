import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

test("the example runs", async () => {
  const main = join(__dirname, "../../examples/threads/main.mjs");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [main]);
  const lines = stdout.trim().split("\n");
  expect(stderr).toBe("");
  expect(lines.slice(0, -3).sort()).toEqual(["task-1: 100 %", "task-2: 100 %", "task-3: 100 %"]);
  expect(lines.slice(-3)).toEqual([
    "16 words in 3 texts",
    expect.stringMatching(/^\d+ bytes became fewer$/),
    "5 tasks completed",
  ]);
});
