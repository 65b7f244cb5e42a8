import { generate } from "./generator.mjs";
import { ServerProcess } from "./server-process.mjs";

/**
 * Measures one case: each contender in turn, round after round, each time in a new process. The peer with its helper
 * takes part in the first round only.
 */
export async function measure(one, { rounds }) {
  const samples = { ours: [], peer: [], helped: [] };
  const faults = [];
  for (let round = 0; round < (one.rounds ?? rounds); round++) {
    for (const name of one.contenders ?? ["ours", "peer"]) {
      if (name === "helped" && round > 0) continue;
      try {
        const { figures, costs, faults: found } = await one.run(name);
        samples[name].push({ ...costs, ...figures });
        faults.push(...faultsOf(name, found));
      } catch (error) {
        faults.push(`${name}: ${error.message}`);
      }
    }
  }
  const { id, workers, figures } = one;
  return { id, workers, figures, samples, faults };
}

/** How a case is run that is one command of the generator against a new server. */
export function driven(command, options) {
  return async (name) => {
    const server = await ServerProcess.start(name);
    try {
      return await generate(server, command, options);
    } finally {
      await server.stop();
    }
  };
}

function faultsOf(name, found) {
  return Object.entries(found)
    .filter(([, count]) => count !== 0)
    .map(([what, count]) => `${name}: ${what} ${count}`);
}
