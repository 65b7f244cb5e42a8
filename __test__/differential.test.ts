import { WorkerServer, type WorkerServerOptions } from "../index.js";
import { useFakeClock } from "./support/fake-clock";
import { randomScenario } from "./support/random-scenario";
import { ReferenceServer, type ServerApi } from "./support/reference-server";
import { scenario, scenarioWithToken, TIMINGS } from "./support/scenario";
import { type Observation, Stage, type Step } from "./support/stage";

/*
 * The same scenario is played against the package and against a plain model of the specification; what can be observed
 * of each step has to be the same: logs, calls of handlers, results, frames, ends of connections.
 */

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

async function expectSame(steps: readonly Step[], options: Partial<WorkerServerOptions> = {}): Promise<void> {
  const play = (create: (given: WorkerServerOptions) => ServerApi): Promise<Observation[]> => {
    jest.setSystemTime(Date.UTC(2030, 0, 1));
    return new Stage(create, { ...TIMINGS, ...options }).play(steps);
  };
  const observed = await play((given) => new WorkerServer(given));
  const expected = await play((given) => new ReferenceServer(given));
  for (const [index, observation] of observed.entries()) {
    expect(observation).toStrictEqual(expected[index]);
  }
  expect(observed.length).toBe(steps.length);
}

test("a scripted scenario is observed as the specification says", async () => {
  await expectSame(scenario);
});

test("so is one with a token", async () => {
  await expectSame(scenarioWithToken, { authToken: "sécret" });
});

test.each(Array.from({ length: 25 }, (_, seed) => seed))("so is a random one: seed %i", async (seed) => {
  const authToken = seed % 3 === 0 ? "sécret" : undefined;
  await expectSame(randomScenario(seed, 80, authToken), { authToken });
});
