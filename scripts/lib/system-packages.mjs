import { existsSync } from "node:fs";
import { Refusal } from "./project.mjs";
import { capture, show } from "./run.mjs";

/** Programs that the tests run, and the Debian packages that have them. */
const packages = {
  chromium: { args: ["--version"], debian: "chromium", elsewhere: "chromium" },
  faketime: { args: ["--version"], debian: "faketime", elsewhere: "libfaketime" },
  openssl: { args: ["version"], debian: "openssl", elsewhere: "openssl" },
  "redis-server": { args: ["--version"], debian: "redis-server", elsewhere: "redis" },
};

/** Installs the programs that are missing where that is possible (Debian, as root), else says what to install. */
export async function ensurePrograms(...programs) {
  const missing = [];
  for (const program of programs) if (!(await isThere(program))) missing.push(program);
  if (missing.length === 0) return;
  if (!canInstall()) throw new Refusal(missing.map(sentence).join(" "));
  const names = missing.map((program) => packages[program].debian);
  process.stderr.write(`apt-get install ${names.join(" ")}\n`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  // The lists of packages may be missing or old, so the second try fetches them.
  const install = () => show("apt-get", ["install", "--yes", "--quiet", ...names], { env });
  if ((await install()) === 0) return;
  await show("apt-get", ["update", "--quiet"], { env });
  if ((await install()) !== 0) throw new Refusal(missing.map(sentence).join(" "));
}

/** The sentence about a program that is missing. */
export function sentence(program) {
  const { debian, elsewhere } = packages[program];
  return `The tests need ${program}: install the package ${debian} (Debian, Ubuntu) or ${elsewhere} (others).`;
}

async function isThere(program) {
  const { code } = await capture(program, packages[program].args);
  return code === 0;
}

function canInstall() {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version");
}
