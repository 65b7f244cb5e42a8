/*
 * The versions below which a dependency has a known hole that could matter here, and the advisory that says so. Where a
 * lock file has the dependency, it has it at least in this version. (cargo-deny and `npm audit` know more, but need the
 * network.)
 */
export const floors = {
  cargo: [
    { name: "bytes", version: "1.11.1", advisory: "RUSTSEC-2026-0007" },
    { name: "crossbeam-channel", version: "0.5.15", advisory: "RUSTSEC-2025-0024" },
    { name: "slab", version: "0.4.11", advisory: "RUSTSEC-2025-0047" },
    { name: "smallvec", version: "1.6.1", advisory: "RUSTSEC-2021-0003" },
    { name: "socket2", version: "0.3.16", advisory: "RUSTSEC-2020-0079" },
    { name: "tokio", version: "1.44.2", advisory: "RUSTSEC-2025-0023" },
    { name: "tungstenite", version: "0.20.1", advisory: "RUSTSEC-2023-0065" },
  ],
  npm: [{ name: "ws", version: "8.21.0", advisory: "GHSA-96hv-2xvq-fx4p" }],
};

/** What of a Cargo.lock is below its floor. */
export function belowCargoFloors(lock) {
  const packages = [...lock.matchAll(/^name = "(.+)"\nversion = "(.+)"$/gm)];
  return below(floors.cargo, (wanted) =>
    packages.filter(([, name]) => name === wanted).map(([, , version]) => version),
  );
}

/** What of a package-lock.json is below its floor. */
export function belowNpmFloors(lock) {
  const packages = Object.entries(JSON.parse(lock).packages);
  return below(floors.npm, (wanted) =>
    packages.filter(([path]) => path.endsWith(`node_modules/${wanted}`)).map(([, { version }]) => version),
  );
}

function below(list, versionsOf) {
  return list.flatMap(({ name, version: floor, advisory }) =>
    versionsOf(name)
      .filter((version) => !reaches(version, floor))
      .map((version) => `${name} ${version} is below ${floor} (${advisory})`),
  );
}

function reaches(version, floor) {
  const [have, want] = [version, floor].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number));
  const different = want.findIndex((part, at) => have[at] !== part);
  return different === -1 || have[different] > want[different];
}
