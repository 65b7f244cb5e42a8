/* node measure.mjs <case> <contender>: measures one case with one contender, and prints the figures as JSON. */
import { writeSync } from "node:fs";
import { cases } from "./cases.mjs";
import { contenders } from "./contenders.mjs";

const [name, contender] = process.argv.slice(2);
const { makesRegistries, isRedis, run } = cases[name];
const make = contenders[isRedis ? "redis" : contender];
const figures = await run(makesRegistries ? make : await make());
writeSync(1, JSON.stringify(figures));
process.exit(0);
