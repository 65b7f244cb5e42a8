/* node measure.mjs <case> <contender>: measures one case with one contender, and prints the figures as JSON. */
import { writeSync } from "node:fs";
import { cases } from "./cases.mjs";
import { contenders } from "./contenders.mjs";

const [name, contender] = process.argv.slice(2);
const { threads, run } = cases[name];
writeSync(1, JSON.stringify(await run(await contenders[contender](threads))));
process.exit(0);
