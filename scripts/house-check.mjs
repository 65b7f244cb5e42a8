/* npm run house: the rules that no linter knows. */
import { projectFiles } from "./house/project-files.mjs";
import * as rules from "./house/rules.mjs";

let broken = 0;
for (const [name, rule] of Object.entries(rules)) {
  const complaints = rule(projectFiles);
  if (complaints.length === 0) continue;
  broken++;
  process.stdout.write(`${name}\n${complaints.map((complaint) => `  ${complaint}\n`).join("")}`);
}
process.stdout.write(`${Object.keys(rules).length - broken} rules hold, ${broken} broken\n`);
process.exitCode = broken > 0 ? 1 : 0;
