import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RedisStore } from "../../registry.js";
import { freePort } from "../support/ports";
import { TestRedis } from "../support/redis";
import { eventually, node } from "./harness";
import { closeAll, registryWith, storeOn } from "./redis-harness";

const SLOTS = 16_384;

afterEach(async () => {
  await closeAll();
  await TestRedis.stopAll();
});

/** All that a registry does in short. */
async function use(memory: RedisStore): Promise<void> {
  const registry = registryWith(memory);
  const worker = await registry.registerWorker(node("node-1", ["coder", "tester"]));
  await registry.heartbeat(worker.id);
  expect((await registry.tryAcquire({ capabilities: ["coder", "tester"] }))!.id).toBe(worker.id);
  await registry.recordTaskCompletion(worker.id, true, 10);
  const held = await registry.acquire();
  expect(await registry.release(held!.token)).toBe(true);
  expect(await registry.discoverWorkers({ capabilities: ["tester"] })).toHaveLength(1);
  expect(await registry.cleanup()).toEqual([]);
  await memory.store("key", "value", 60_000);
  expect(await memory.compareAndSet("key", "value", "other")).toBe(true);
  expect(await memory.search("k*")).toEqual([{ key: "key", value: "other" }]);
  await memory.delete("key");
  await registry.unregisterWorker(worker.id);
}

/** Three masters with a third of the slots each. */
async function startCluster(): Promise<TestRedis[]> {
  const nodes: TestRedis[] = [];
  for (let count = 0; count < 3; count += 1) {
    // Besides its port a node uses the one 10,000 above.
    let port = await freePort();
    while (port > 55_000) port = await freePort();
    nodes.push(await TestRedis.start({ port, args: ["cluster-enabled yes"] }));
  }
  for (const [index, one] of nodes.entries()) {
    const from = Math.ceil((SLOTS * index) / 3);
    const slots = Array.from({ length: Math.ceil((SLOTS * (index + 1)) / 3) - from }, (_, slot) =>
      String(from + slot),
    );
    expect(await one.command("CLUSTER", "ADDSLOTS", ...slots)).toContain("+OK");
    if (index > 0) await one.command("CLUSTER", "MEET", "127.0.0.1", String(nodes[0]!.port));
  }
  for (const one of nodes) {
    await eventually(
      async () => (await one.command("CLUSTER", "INFO")).includes("cluster_state:ok"),
      "the cluster is complete",
    );
  }
  return nodes;
}

test("a cluster is found by any of its servers, and all keys are in one slot", async () => {
  const nodes = await startCluster();
  for (const one of nodes) await use(storeOn({ cluster: [one.url], prefix: "shop" }));
  await use(storeOn({ cluster: [`redis://127.0.0.1:${await freePort()}`, nodes[1]!.url] }));
  const registry = registryWith(storeOn({ cluster: [nodes[0]!.url], prefix: "shop" }));
  await registry.registerWorker(node("kept"));
  const sizes = await Promise.all(nodes.map((one) => one.command("KEYS", "shop:*")));
  expect(sizes.filter((keys) => keys.includes("shop:{shopr}:w:"))).toHaveLength(1);
}, 40_000);

test("sentinels tell where the master is, also after it has changed", async () => {
  const [first, second] = [await TestRedis.start(), await TestRedis.start()];
  await second.command("REPLICAOF", "127.0.0.1", String(first.port));
  const sentinel = await TestRedis.start({
    isSentinel: true,
    args: [
      `sentinel monitor main 127.0.0.1 ${first.port} 1`,
      "sentinel down-after-milliseconds main 500",
      "sentinel failover-timeout main 2000",
    ],
  });
  const urls = [`redis://127.0.0.1:${await freePort()}`, sentinel.url];
  const memory = storeOn({ sentinel: { urls, master: "main" } });
  await use(memory);
  await eventually(
    async () => (await first.command("INFO", "replication")).includes("state=online"),
    "the replica is there",
  );
  await eventually(
    async () => (await sentinel.command("SENTINEL", "REPLICAS", "main")).includes(String(second.port)),
    "the sentinel knows the replica",
  );
  await first.kill();
  await eventuallyWorks(memory);
  expect(await second.command("ROLE")).toContain("master");
  const unknown = storeOn({ sentinel: { urls: [sentinel.url], master: "other" } });
  await expect(unknown.get("key")).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
}, 60_000);

async function eventuallyWorks(memory: RedisStore): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      await memory.store("key", "value");
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

test("a login is needed where the engine wants one, and is in no text", async () => {
  const redis = await TestRedis.start({
    args: [
      "requirepass hidden-secret",
      "user worker on >worker-secret ~shop:* resetchannels +@all -@admin -@dangerous +info +role",
    ],
  });
  const { port, url } = redis;
  await use(storeOn({ url: `redis://:hidden-secret@127.0.0.1:${port}` }));
  await use(storeOn({ url, password: "hidden-secret" }));
  const limited = { url, username: "worker", password: "worker-secret" };
  await use(storeOn({ ...limited, prefix: "shop" }));
  for (const store of [
    storeOn({ url }),
    storeOn({ url: `redis://:wrong-secret@127.0.0.1:${port}` }),
    storeOn({ url, username: "nobody", password: "wrong-secret" }),
    storeOn({ ...limited, prefix: "other" }),
  ]) {
    const error = await store.get("key").catch((reason: unknown) => reason as Error);
    expect(error).toMatchObject({ code: "ERR_ENGINE_AUTH" });
    expect(String((error as Error).message)).not.toMatch(/secret/);
  }
});

test("the connection is encrypted, with certificates of one's own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wsn-tls-"));
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): Buffer => execFileSync("openssl", args, { stdio: "pipe" });
  openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-keyout", file("key.pem"), "-out", file("cert.pem")],
  );
  const tlsPort = await freePort();
  await TestRedis.start({
    args: [
      `tls-port ${tlsPort}`,
      `tls-cert-file ${file("cert.pem")}`,
      `tls-key-file ${file("key.pem")}`,
      `tls-ca-cert-file ${file("cert.pem")}`,
      "tls-auth-clients yes",
    ],
  });
  const url = `rediss://127.0.0.1:${tlsPort}`;
  const [cert, key] = [readFileSync(file("cert.pem"), "utf8"), readFileSync(file("key.pem"), "utf8")];
  await use(storeOn({ url, tls: { ca: cert, cert, key } }));
  await use(storeOn({ url, tls: { rejectUnauthorized: false, cert, key } }));
  for (const tls of [undefined, { ca: cert }]) {
    const store = storeOn(tls === undefined ? { url } : { url, tls });
    await expect(store.get("key")).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  }
  rmSync(folder, { recursive: true });
});

test("an engine that may forget workers is warned of once", async () => {
  const redis = await TestRedis.start({ args: ["maxmemory 50mb", "maxmemory-policy allkeys-lru"] });
  const emitWarning = jest.spyOn(process, "emitWarning").mockImplementation();
  const store = storeOn({ url: redis.url });
  await store.get("key");
  await store.get("key");
  await eventually(() => emitWarning.mock.calls.length > 0, "a warning");
  expect(emitWarning.mock.calls).toEqual([[expect.stringContaining("allkeys-lru")]]);
  emitWarning.mockRestore();
});
