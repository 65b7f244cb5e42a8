import busboy from "busboy";
import compression from "compression";
import express from "express";
import multer from "multer";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request, serve, stopAll } from "./support/http";

afterEach(stopAll);

const FILE = Buffer.alloc(5 * 1024 * 1024, "some bytes that do not repeat evenly; ");
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Serves an Express application; returns its URL. */
async function withApp(set: (app: express.Express) => void): Promise<{ url: string; port: number }> {
  const app = express();
  set(app);
  return serve(app as unknown as RequestListener);
}

function form(file: Buffer = FILE): FormData {
  const data = new FormData();
  data.set("title", "grüße");
  data.set("file", new Blob([file], { type: "text/x-test" }), "náme.txt");
  return data;
}

describe("an upload", () => {
  test("is taken by multer into memory", async () => {
    const { url } = await withApp((app) => {
      app.post("/", multer().single("file"), (req, res) => {
        const { originalname, mimetype, size, buffer } = req.file!;
        res.json({ fields: req.body, originalname, mimetype, size, hash: sha256(buffer) });
      });
    });

    const response = await fetch(url, { method: "POST", body: form() });

    expect(await response.json()).toEqual({
      fields: { title: "grüße" },
      originalname: expect.stringMatching(/^n.+me\.txt$/),
      mimetype: "text/x-test",
      size: FILE.length,
      hash: sha256(FILE),
    });
  });

  test("is refused by multer when it is too large, and the connection serves on", async () => {
    const { url } = await withApp((app) => {
      app.post(
        "/",
        multer({ limits: { fileSize: 1024 } }).single("file"),
        (_req, res) => void res.send("taken"),
      );
      app.use(
        ((error, _req, res, _next) => void res.status(413).send(error.code)) as express.ErrorRequestHandler,
      );
    });

    const large = await fetch(url, { method: "POST", body: form() });
    const small = await fetch(url, { method: "POST", body: form(Buffer.alloc(10)) });

    expect([large.status, await large.text()]).toEqual([413, "LIMIT_FILE_SIZE"]);
    expect(await small.text()).toBe("taken");
  });

  test("of many files is taken by multer", async () => {
    const { url } = await withApp((app) => {
      app.post("/", multer().array("files"), (req, res) => {
        res.json((req.files as Express.Multer.File[]).map(({ size }) => size));
      });
    });
    const data = new FormData();
    for (let size = 0; size < 50; size++) data.append("files", new Blob(["x".repeat(size)]), `${size}.txt`);

    const response = await fetch(url, { method: "POST", body: data });

    expect(await response.json()).toEqual(Array.from({ length: 50 }, (_, size) => size));
  });

  test("is taken by busboy as a stream", async () => {
    const { url } = await serve((req, res) => {
      const hash = createHash("sha256");
      const fields: Record<string, string> = {};
      const parser = busboy({ headers: req.headers });
      parser.on("field", (name, value) => (fields[name] = value));
      parser.on("file", (_name, file) => file.on("data", (chunk) => hash.update(chunk)));
      parser.on("close", () => res.end(JSON.stringify({ fields, hash: hash.digest("hex") })));
      req.pipe(parser);
    });

    const response = await fetch(url, { method: "POST", body: form() });

    expect(await response.json()).toEqual({ fields: { title: "grüße" }, hash: sha256(FILE) });
  });

  test("is taken by the parsers of Express for forms, text and bytes", async () => {
    const { url } = await withApp((app) => {
      app.use(express.urlencoded({ extended: true }), express.text(), express.raw());
      app.post("/", (req, res) => void res.json(Buffer.isBuffer(req.body) ? [...req.body] : req.body));
    });
    const post = async (body: BodyInit, type: string): Promise<unknown> => {
      const response = await fetch(url, { method: "POST", body, headers: { "Content-Type": type } });
      return response.json();
    };

    expect(await post("a[b]=1&c=%20", "application/x-www-form-urlencoded")).toEqual({
      a: { b: "1" },
      c: " ",
    });
    expect(await post("text", "text/plain")).toBe("text");
    expect(await post(new Uint8Array([0, 255]), "application/octet-stream")).toEqual([0, 255]);
  });

  test("that is compressed is decompressed by the parser of Express", async () => {
    const { url } = await withApp((app) => {
      app.post("/", express.json(), (req, res) => void res.json(req.body));
    });
    const compressed = new Blob(['{"a":1}']).stream().pipeThrough(new CompressionStream("gzip"));

    const response = await fetch(url, {
      method: "POST",
      body: await new Response(compressed).arrayBuffer(),
      headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
    });

    expect(await response.json()).toEqual({ a: 1 });
  });
});

describe("compression", () => {
  const TEXT = "compressible ".repeat(10_000);

  test.each(["gzip", "deflate", "br"])("of an answer with %s", async (encoding) => {
    const { url } = await withApp((app) => {
      app.use(compression());
      app.get("/", (_req, res) => void res.type("text").send(TEXT));
    });

    const response = await fetch(url, { headers: { "Accept-Encoding": encoding } });

    expect(response.headers.get("content-encoding")).toBe(encoding);
    expect(await response.text()).toBe(TEXT);
  });

  test("of a stream is flushed when the handler says so", async () => {
    let finish = (): void => {};
    const { url } = await withApp((app) => {
      app.use(compression({ threshold: 0 }));
      app.get("/", (_req, res) => {
        res.type("text").write("first");
        res.flush();
        finish = () => void res.end("last");
      });
    });

    const response = await fetch(url);
    const parts = response.body!.pipeThrough(new TextDecoderStream()).getReader();

    expect((await parts.read()).value).toBe("first");
    finish();
    expect((await parts.read()).value).toBe("last");
  });
});

describe("static files", () => {
  const TEXT = "0123456789".repeat(100_000);
  let folder: string;
  let url: string;
  let port: number;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "worker-server-static-"));
    await writeFile(join(folder, "large.txt"), TEXT);
    await writeFile(join(folder, "index.html"), "<p>hello");
    ({ url, port } = await withApp((app) => app.use(express.static(folder))));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("are sent whole, with type and length", async () => {
    const response = await fetch(`${url}/large.txt`);

    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    expect(response.headers.get("content-length")).toBe(String(TEXT.length));
    expect(await response.text()).toBe(TEXT);
  });

  test("are sent in part", async () => {
    const response = await fetch(`${url}/large.txt`, { headers: { Range: "bytes=15-24" } });

    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(`bytes 15-24/${TEXT.length}`);
    expect(await response.text()).toBe("5678901234");
  });

  test("are not sent again when they have not changed", async () => {
    const { headers } = await fetch(url);

    // Not with fetch, which hides a 304.
    const again = await request(port, { headers: { "If-None-Match": headers.get("etag")! } });

    expect(again).toMatchObject({ status: 304, body: "" });
  });

  test("are sent by several connections at the same time", async () => {
    const texts = await Promise.all(
      Array.from({ length: 10 }, async () => (await request(port, { path: "/large.txt" })).body),
    );

    expect(texts.every((text) => text === TEXT)).toBe(true);
  });

  test("above the folder are not sent", async () => {
    const reply = await request(port, { path: "/../package.json" });

    expect(reply.status).toBe(404);
  });
});
