/* node measure.mjs <case> <contender>: measures one case with one contender, and prints the figures as JSON. */
import { writeSync } from "node:fs";
import { cases } from "./cases.mjs";
import { contenders } from "./contenders.mjs";

const [name, contender] = process.argv.slice(2);
const { job, startsInside, run } = cases[name];
const make = async () => contenders[contender](job);
const figures = await run(startsInside ? make : await make());
writeSync(1, JSON.stringify(figures));
// However a pool would end its threads: that is not what is measured.
process.exit(0);
