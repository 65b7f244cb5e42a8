import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { TestRedis } from "../support/redis";

const MAIN = join(__dirname, "../../examples/registry/main.mjs");

afterEach(() => TestRedis.stopAll());

test.each([
  ["a server of its own", false],
  ["the server of REDIS_URL", true],
])(
  "the example of three processes runs on %s",
  async (_name, isGiven) => {
    const env: NodeJS.ProcessEnv = { ...process.env };
    delete env.REDIS_URL;
    if (isGiven) env.REDIS_URL = (await TestRedis.start()).url;
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN], { env });
    const [results, ...workers] = stdout.trim().split("\n");
    expect(results).toBe("REGISTRY yrtsiger WORKER rekrow RESERVATION noitavreser HEARTBEAT taebtraeh");
    expect(workers.sort()).toEqual(["reverse: 4 tasks, 0 running", "upper: 4 tasks, 0 running"]);
  },
  30_000,
);
