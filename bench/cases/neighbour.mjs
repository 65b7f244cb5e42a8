import { generate } from "../lib/generator.mjs";
import { ServerProcess } from "../lib/server-process.mjs";

const heartbeats = { workers: 100, rate: 2_000, warmup: 500 };
const flood = { workers: 16, size: 100, batch: 655, shape: "ascii" };

/**
 * Two servers in one process, of which one is flooded with messages: heartbeats of the other one's workers. Beside them the
 * same while the flooded server is a process of its own, which takes as much of the machine.
 */
export function neighbourCases({ quick }) {
  const seconds = quick ? 2 : 4;
  return [
    {
      id: "neighbour/heartbeats beside a flooded server",
      figures: [
        { key: "p99_us", title: "p99 us" },
        { key: "p99_apart_us", title: "p99 us, apart" },
        { key: "p99_slower", title: "p99, x of apart" },
      ],
      run: (name) => compare(name, seconds),
    },
  ];
}

async function compare(name, seconds) {
  const together = await measured(name, seconds, (server) => server);
  const apart = await measured(name, seconds, () => ServerProcess.start(name));
  const [p99_us, p99_apart_us] = [together.figures.p99_us, apart.figures.p99_us];
  return {
    ...together,
    figures: { p99_us, p99_apart_us, p99_slower: p99_us / p99_apart_us },
    faults: Object.fromEntries(
      Object.keys(together.faults).map((what) => [what, together.faults[what] + apart.faults[what]]),
    ),
  };
}

/** Heartbeats to the second server of a process while another server is flooded. */
async function measured(name, seconds, flooded) {
  const server = await ServerProcess.start(name);
  const target = await flooded(server);
  try {
    const flooding = generate(target, "upstream", { ...flood, warmup: 0, seconds: seconds + 2 });
    const beside = { port: server.secondPort, controlPort: server.controlPort };
    const found = await generate(beside, "heartbeats", { ...heartbeats, seconds });
    await flooding;
    return found;
  } finally {
    await server.stop();
    if (target !== server) await target.stop();
  }
}
