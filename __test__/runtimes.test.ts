import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureRuntimes, runtimes } from "./support/runtimes";

const run = promisify(execFile);
const PROGRAM = join(__dirname, "runtimes", "program.cjs");

/** What is downloaded first: four runtimes. */
const DOWNLOAD_MS = 300_000;

beforeAll(ensureRuntimes, DOWNLOAD_MS);

test.each(runtimes)("a program runs and ends in %s", async (_name, [program, ...args]) => {
  const { stdout, stderr } = await run(program!, [...args, PROGRAM], { timeout: 30_000 });

  expect({ stdout, stderr }).toEqual({ stdout: "done\n", stderr: "" });
});

test("jest finds no handle that the package leaves open", async () => {
  const jest = require.resolve("jest/bin/jest");
  const args = ["--detectOpenHandles", "--runInBand", "--ci", "__test__/lifecycle.test.ts"];

  const { stderr } = await run(process.execPath, [jest, ...args], {
    cwd: join(__dirname, ".."),
    timeout: 120_000,
  });

  expect(stderr).toMatch(/^Tests: +\d+ passed, \d+ total$/m);
  expect(stderr).not.toMatch(/open handle/);
}, 150_000);
