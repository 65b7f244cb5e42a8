import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WorkerServer, type WorkerServerOptions } from "../../index.js";

const projectFolder = join(__dirname, "..", "..");
const types = readFileSync(join(projectFolder, "lib", "types.ts"), "utf8");

/** Names and documentation of all members of an interface. */
function membersOf(name: string): [name: string, documentation: string][] {
  const body = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, "s").exec(types)![1]!;
  return [...body.matchAll(/\/\*\*(.*?)\*\/\s*(\w+)\??:/gs)].map(([, text, member]) => [member!, text!]);
}

const limits = membersOf("WorkerServerLimits");

function construct(given: unknown): WorkerServer {
  return new WorkerServer({ port: 0, limits: given } as WorkerServerOptions);
}

test("there are limits, and each is documented", () => {
  expect(limits.length).toBeGreaterThan(20);
});

describe.each(limits)("the limit %s", (name, documentation) => {
  test("says its default, and stands in the README", () => {
    expect(documentation).toMatch(/Default:? /);
    expect(readFileSync(join(projectFolder, "README.md"), "utf8")).toContain(`\`${name}\``);
  });

  test.each([0, 1, 1e300, Infinity, undefined])("may be %s", (value) => {
    expect(() => construct({ [name]: value })).not.toThrow();
  });

  test.each([-1, NaN, "1", null, 1n, {}])("may not be %p", (value) => {
    const message = `options.limits.${name}: expected a number >= 0, got `;
    expect(() => construct({ [name]: value })).toThrow(TypeError);
    expect(() => construct({ [name]: value })).toThrow(message);
  });
});

test("a limit that does not exist is refused by its name", () => {
  expect(() => construct({ maxWorkers: 5 })).toThrow("options.limits.maxWorkers: there is no such limit");
});

test("stats() has the counters that are documented, and each is a number", () => {
  const stats = construct({}).stats();

  expect(new Set(Object.keys(stats))).toEqual(new Set(membersOf("ServerStats").map(([name]) => name)));
  expect(new Set(Object.values(stats))).toEqual(new Set([0]));
});
