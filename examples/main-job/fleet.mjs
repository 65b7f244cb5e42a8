import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../worker.mjs", import.meta.url));

/** The example's workers: two share a model, one has it and another, one does something else entirely. */
export const workers = [
  { id: "worker-a", name: "Ada", models: ["sonnet-3.5", "haiku"], capacity: 4, limits: { inference: 3 } },
  { id: "worker-b", name: "Ben", models: ["sonnet-3.5"], capacity: 2, limits: { inference: 2 } },
  {
    id: "worker-c",
    name: "Cai",
    models: ["embed-large"],
    capacity: 3,
    limits: { embedding: 2 },
    millisPerRequest: [10, 60],
  },
];

/** Starts the workers, each in a process of its own; resolves to `stop`, which resolves when all have ended. */
export async function startFleet(server, port, token) {
  const env = { ...process.env, WORKER_TOKEN: token };
  const registered = allRegistered(server);
  const processes = workers.map((worker) =>
    fork(program, [`ws://127.0.0.1:${port}/ws`, JSON.stringify(worker)], { env }),
  );
  const ends = processes.map((child) => once(child, "exit"));
  const lost = Promise.race(ends).then(() => {
    throw new Error("A worker ended before it was registered.");
  });
  const stop = async () => {
    const patience = setTimeout(() => processes.forEach((child) => child.kill("SIGKILL")), 5_000);
    await Promise.all(ends);
    clearTimeout(patience);
  };
  try {
    await Promise.race([registered, lost]);
  } catch (error) {
    for (const child of processes) child.kill("SIGKILL");
    throw error;
  }
  return stop;
}

function allRegistered(server) {
  return new Promise((resolve) => {
    const unsubscribe = server.onWorkerConnected(() => {
      if (server.getWorkerCount() < workers.length) return;
      unsubscribe();
      resolve();
    });
  });
}
