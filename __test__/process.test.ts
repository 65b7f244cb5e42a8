import { Program } from "./support/program";
import { freePort, occupy, portOf, refusalOf, release } from "./support/ports";
import { TestWorker } from "./support/test-worker";

afterEach(async () => {
  TestWorker.dropAll();
  await Program.endAll();
});

/** "At once" on a slow machine: well below every timeout of the server. */
const AT_ONCE_MS = 3_000;

const LOAD = `const { WorkerServer } = require("worker-server-native");`;

/** Starts a server and says so; `server` and `port` are at hand for what follows. */
function listening(port: number, then = ""): string {
  return `
    ${LOAD}
    const server = new WorkerServer({ port: ${port} });
    server.start().then(async () => {
      console.log("listening");
      ${then}
    });
  `;
}

/** Runs the program to its end, which it must come to by itself. */
async function outcomeOf(source: string): Promise<unknown> {
  const program = Program.startScript(source);
  const { code, signal, stderr } = await program.ended;
  return { code, signal, stderr, lines: program.lines };
}

function endedWell(...lines: string[]): unknown {
  return { code: 0, signal: null, stderr: "", lines };
}

/** A program that listens and has three workers, one of them with a request in work. */
async function programWithWorkers(
  then = "",
): Promise<{ program: Program; port: number; workers: TestWorker[] }> {
  const port = await freePort();
  const program = Program.startScript(
    listening(
      port,
      `
        server.onWorkerConnected(({ id }) => {
          server.trackRequest(id, "request-of-" + id);
          if (server.getWorkerCount() === 3) console.log("three workers");
        });
        ${then}
      `,
    ),
  );
  await program.printed("listening");
  const workers = await Promise.all(
    ["a", "b", "c"].map((workerId) => TestWorker.register(port, { workerId })),
  );
  await program.printed("three workers");
  return { program, port, workers };
}

function printedPid({ lines }: Program): number {
  const pid = lines.find((line) => /^\d+$/.test(line));
  if (pid === undefined) throw new Error(`no process id among ${JSON.stringify(lines)}`);
  return Number(pid);
}

/** How the program ended, and whether that took no longer than ending at once. */
async function endingOf(
  program: Program,
): Promise<{ code: number | null; signal: string | null; atOnce: boolean }> {
  const asked = performance.now();
  const { code, signal } = await program.ended;
  return { code, signal, atOnce: performance.now() - asked < AT_ONCE_MS };
}

describe("a program ends by itself", () => {
  test("after loading the package", async () => {
    expect(await outcomeOf(`${LOAD} console.log(typeof WorkerServer);`)).toEqual(endedWell("function"));
  });

  test("after importing the package", async () => {
    const program = Program.startModule(`
      import { WorkerServer } from "worker-server-native";
      console.log(typeof WorkerServer);
    `);

    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: "" });
    expect(program.lines).toEqual(["function"]);
  });

  test("after constructing servers, giving them handlers and asking them things", async () => {
    const source = `
      ${LOAD}
      for (let index = 0; index < 10; index++) {
        const server = new WorkerServer({ port: 0 });
        server.onWorkerConnected(() => {});
        server.onWorkerDisconnected(() => {});
        server.onWorkerMessage("result", () => {});
        server.broadcast({ type: "news" });
        server.trackRequest("a", "r1");
        server.getWorkerInfo();
      }
      console.log("constructed");
    `;

    expect(await outcomeOf(source)).toEqual(endedWell("constructed"));
  });

  test("after a start() that failed because the port is in use", async () => {
    const occupied = await occupy();
    const source = `
      ${LOAD}
      const server = new WorkerServer({ port: ${portOf(occupied)} });
      server.start().catch((error) => console.log(error.code));
    `;

    expect(await outcomeOf(source)).toEqual(endedWell("EADDRINUSE"));
    await release(occupied);
  });

  test("after a start() that failed because the port is none", async () => {
    const source = `
      ${LOAD}
      new WorkerServer({ port: 70_000 }).start().catch((error) => console.log(error.code));
    `;

    expect(await outcomeOf(source)).toEqual(endedWell("ERR_SOCKET_BAD_PORT"));
  });

  test("after start() and stop()", async () => {
    const source = listening(0, `await server.stop(); console.log("stopped");`);

    expect(await outcomeOf(source)).toEqual(endedWell("listening", "stopped"));
  });

  test("after two starts and stops of one server", async () => {
    const source = listening(
      0,
      `
        await server.stop();
        await server.start();
        console.log("again");
        await server.stop();
        console.log("stopped");
      `,
    );

    expect(await outcomeOf(source)).toEqual(endedWell("listening", "again", "stopped"));
  });

  test("after a stop() in the same tick as start()", async () => {
    const source = `
      ${LOAD}
      const server = new WorkerServer({ port: 0 });
      server.start().catch(() => {});
      server.stop().then(() => console.log("stopped"));
    `;

    expect(await outcomeOf(source)).toEqual(endedWell("stopped"));
  });

  test("after stop() with workers connected, which are told", async () => {
    const { program, workers } = await programWithWorkers(`
      server.onWorkerMessage("stop", async () => {
        await server.stop();
        console.log("stopped");
      });
    `);

    workers[0]!.send({ type: "stop" });

    expect(await endingOf(program)).toEqual({ code: 0, signal: null, atOnce: true });
    expect(program.lines.at(-1)).toBe("stopped");
    for (const worker of workers) {
      expect(await worker.closed).toEqual({ code: 1001, reason: "Server shutting down" });
    }
  });

  test("after the last of several servers is stopped, and not before", async () => {
    const source = `
      ${LOAD}
      const servers = [1, 2, 3].map(() => new WorkerServer({ port: 0 }));
      Promise.all(servers.map((server) => server.start())).then(async () => {
        await servers[0].stop();
        await servers[1].stop();
        // Does not hold the process: if nothing else did, it would not be printed.
        setTimeout(async () => {
          console.log("still here");
          await servers[2].stop();
          console.log("stopped");
        }, 500).unref();
      });
    `;

    expect(await outcomeOf(source)).toEqual(endedWell("still here", "stopped"));
  });
});

describe("a listening server", () => {
  test("keeps the process alive", async () => {
    const port = await freePort();
    // Does not hold the process: if nothing else did, it would not be printed.
    const program = Program.startScript(
      listening(port, `setTimeout(() => console.log("still here"), 500).unref();`),
    );

    await program.printed("still here");

    expect((await TestWorker.register(port)).ack.success).toBe(true);
  });

  test("keeps the process alive when its last worker has left", async () => {
    const port = await freePort();
    const program = Program.startScript(
      listening(
        port,
        `
          server.onWorkerDisconnected(() => {
            console.log("left");
            setTimeout(() => console.log("still here"), 500).unref();
          });
        `,
      ),
    );
    await program.printed("listening");

    await (await TestWorker.register(port)).close();
    await program.printed("still here");

    expect((await TestWorker.register(port)).ack.success).toBe(true);
  });
});

describe("a process with live workers ends at once", () => {
  test("by process.exit, with its code", async () => {
    const { program, workers } = await programWithWorkers(
      `server.onWorkerMessage("exit", () => process.exit(7));`,
    );

    workers[0]!.send({ type: "exit" });

    expect(await endingOf(program)).toEqual({ code: 7, signal: null, atOnce: true });
  });

  test.each(["SIGTERM", "SIGINT"] as const)("by %s", async (name) => {
    const { program } = await programWithWorkers(`console.log(process.pid);`);

    process.kill(printedPid(program), name);

    expect(await endingOf(program)).toEqual({ code: null, signal: name, atOnce: true });
  });

  test("by an uncaught exception, which is reported", async () => {
    const { program, workers } = await programWithWorkers(
      `server.onWorkerMessage("throw", () => setImmediate(() => { throw new Error("boom"); }));`,
    );

    workers[0]!.send({ type: "throw" });

    expect(await endingOf(program)).toEqual({ code: 1, signal: null, atOnce: true });
    expect((await program.ended).stderr).toContain("Error: boom");
  });

  test("by a SIGTERM handler that stops the server", async () => {
    const { program, workers } = await programWithWorkers(`
      process.once("SIGTERM", () => server.stop().then(() => console.log("stopped")));
      console.log(process.pid);
    `);

    process.kill(printedPid(program), "SIGTERM");

    expect(await endingOf(program)).toEqual({ code: 0, signal: null, atOnce: true });
    expect(await workers[2]!.closed).toEqual({ code: 1001, reason: "Server shutting down" });
  });

  test.each([1, 2, 3, 4, 5])("by process.exit amid a stream of messages, without a crash (%d)", async () => {
    const { program, port, workers } = await programWithWorkers(`
      let handled = 0;
      server.onWorkerMessage("step", ({ id }) => {
        server.send(id, { type: "answer" });
        if (++handled === 500) process.exit(0);
      });
    `);

    for (let step = 0; step < 1_000; step++) {
      for (const worker of workers) worker.send({ type: "step", step });
    }

    expect(await endingOf(program)).toEqual({ code: 0, signal: null, atOnce: true });
    expect(await refusalOf(port)).toBe("ECONNREFUSED");
  });
});
