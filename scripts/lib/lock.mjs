/** The optional dependencies of locked packages that the lock itself does not hold, as `[name, version, entry of the dependent]`. */
export function missingPlatforms(packages) {
  return Object.values(packages).flatMap((entry) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => packages[`node_modules/${name}`] === undefined)
      .map(([name, version]) => [name, version, entry]),
  );
}

/** The lock's packages with the missing ones, in npm's order. */
export function completed(packages) {
  const additions = missingPlatforms(packages).map(([name, version, { dev }]) => [
    `node_modules/${name}`,
    { version, ...platformOf(name), ...(dev && { dev }), optional: true },
  ]);
  const all = [...Object.entries(packages), ...additions];
  return Object.fromEntries(all.toSorted(([a], [b]) => a.localeCompare(b, "en")));
}

/** A name like `@swc/core-linux-arm64-gnu` says for which platform a package is. */
function platformOf(name) {
  if (name.includes("-wasm32-")) return { cpu: ["wasm32"] };
  const [, os, cpu, abi = ""] =
    /-(android|darwin|freebsd|linux|openharmony|win32)-([a-z0-9]+)(?:-(\w+))?$/.exec(name) ?? [];
  if (os === undefined)
    throw new Error(`package-lock.json: lacks ${name}, whose name does not tell its platform`);
  const libc = os === "linux" && { libc: [abi.startsWith("musl") ? "musl" : "glibc"] };
  return { cpu: [cpu], ...libc, os: [os] };
}
