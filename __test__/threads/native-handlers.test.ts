import * as crypto from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import sharp from "sharp";
import type { TaskTypeName, WorkerManager } from "../../threads.js";
import { manage, nextEvent, rejection, script, shutdownAll } from "./harness";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "native-handlers-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(shutdownAll);

function native(config = {}): WorkerManager {
  return manage({ minWorkers: 0, maxRetries: 0, ...config });
}

interface Result {
  data: Buffer;
  key: Buffer;
  iv: Buffer;
  tag: Buffer;
  digest: string;
  size: number;
  width: number;
  height: number;
  format: string;
}

/** Bytes that compress as a mixture of text and noise does, the same in each run. */
function sampleOf(size: number): Buffer {
  const noise = crypto.createHash("shake256", { outputLength: size }).update("sample").digest();
  for (let index = 0; index < size; index++) if (index % 7 < 5) noise[index] = 97 + (index % 13);
  return noise;
}

describe("compression", () => {
  const decompress = {
    gzip: promisify(zlib.gunzip),
    deflate: promisify(zlib.inflate),
    brotli: promisify(zlib.brotliDecompress),
  };
  const compress = {
    gzip: promisify(zlib.gzip),
    deflate: promisify(zlib.deflate),
    brotli: promisify(zlib.brotliCompress),
  };
  const sizes = [0, 1, 100, 65_535, 262_144, 262_145, 1_500_000];

  test.each(["gzip", "deflate", "brotli"] as const)(
    "%s is what node:zlib reads and writes",
    async (algorithm) => {
      const manager = native();
      for (const size of sizes) {
        const data = sampleOf(size);
        const level = algorithm === "brotli" ? 5 : 6;
        const ours = await manager.run<Result>("COMPRESSION", { data, algorithm, level });
        expect(ours).toMatchObject({ originalSize: size, size: ours.data.length });
        expect(await decompress[algorithm](ours.data)).toEqual(data);
        const theirs = await compress[algorithm](data);
        const back = await manager.run<Result>("COMPRESSION", {
          data: theirs,
          algorithm,
          operation: "decompress",
        });
        expect(back.data.equals(data)).toBe(true);
        // No worse than a tenth.
        expect(ours.size).toBeLessThan(theirs.length * (algorithm === "brotli" ? 1.4 : 1.1) + 32);
      }
    },
  );

  test.each(["zstd", "lz4", "gzip", "deflate", "brotli"])(
    "%s gives back what it was given",
    async (algorithm) => {
      const manager = native();
      for (const size of sizes) {
        const data = sampleOf(size);
        // The highest level of brotli takes seconds.
        const level = algorithm === "brotli" ? 7 : undefined;
        const packed = await manager.run<Result>("COMPRESSION", { data, algorithm, level });
        const { data: back } = await manager.run<Result>("COMPRESSION", {
          data: packed.data,
          algorithm,
          operation: "decompress",
        });
        expect(back.equals(data)).toBe(true);
        if (size > 1000) expect(packed.size).toBeLessThan(size);
      }
    },
  );

  test("zstd and lz4 have the frames of their formats", async () => {
    const manager = native();
    const zstd = await manager.run<Result>("COMPRESSION", { data: "text", algorithm: "zstd" });
    expect(zstd.data.subarray(0, 4).toString("hex")).toBe("28b52ffd");
    const lz4 = await manager.run<Result>("COMPRESSION", { data: "text", algorithm: "lz4" });
    expect(lz4.data.subarray(0, 4).toString("hex")).toBe("04224d18");
  });

  test("levels matter, and have their limits", async () => {
    const manager = native();
    const data = sampleOf(300_000);
    const [fast, small] = await Promise.all(
      [1, 9].map(async (level) => manager.run<Result>("COMPRESSION", { data, level })),
    );
    expect(small!.size).toBeLessThan(fast!.size);
    for (const [algorithm, level] of [
      ["gzip", 10],
      ["gzip", -1],
      ["brotli", 12],
      ["zstd", 23],
      ["lz4", 1],
    ])
      expect(await rejection(manager.run("COMPRESSION", { data: "x", algorithm, level }))).toMatchObject({
        code: "INVALID_PAYLOAD",
      });
  });

  test("text, typed arrays and array buffers are data", async () => {
    const manager = native();
    for (const data of [
      "tëxt",
      Buffer.from("tëxt"),
      new Uint8Array(Buffer.from("tëxt")),
      Uint8Array.from(Buffer.from("tëxt")).buffer,
    ]) {
      const { data: packed } = await manager.run<Result>("COMPRESSION", { data });
      expect(zlib.gunzipSync(packed).toString()).toBe("tëxt");
    }
  });

  test.each(["gzip", "deflate", "brotli", "zstd", "lz4"])("corrupt %s is refused", async (algorithm) => {
    const manager = native();
    const { data } = await manager.run<Result>("COMPRESSION", { data: sampleOf(10_000), algorithm });
    for (const corrupt of [
      data.subarray(0, data.length / 2),
      Buffer.alloc(64, 1),
      Buffer.concat([Buffer.from([1]), data]),
    ])
      expect(
        await rejection(manager.run("COMPRESSION", { data: corrupt, algorithm, operation: "decompress" })),
      ).toMatchObject({ code: "CORRUPT_DATA" });
  });

  test("a bomb ends at maxOutputBytes", async () => {
    const manager = native();
    const data = zlib.gzipSync(Buffer.alloc(50_000_000));
    const error = await rejection(
      manager.run("COMPRESSION", { data, operation: "decompress", maxOutputBytes: 1_000_000 }),
    );
    expect(error).toMatchObject({
      code: "TOO_LARGE",
      message: "the decompressed data is larger than 1000000 bytes",
    });
  });
});

describe("encryption", () => {
  const key = Buffer.alloc(32, 7);
  const ciphers = ["aes-256-gcm", "chacha20-poly1305"] as const;

  test.each(ciphers)("%s is what node:crypto reads and writes", async (algorithm) => {
    const manager = native();
    for (const size of [0, 1, 16, 1000, 700_001]) {
      const data = sampleOf(size);
      const aad = Buffer.from("header");
      const ours = await manager.run<Result>("ENCRYPTION", {
        data,
        operation: "encrypt",
        algorithm,
        key,
        aad,
      });
      expect([ours.iv.length, ours.tag.length, ours.data.length]).toEqual([12, 16, size]);
      const decipher = crypto.createDecipheriv(algorithm as "aes-256-gcm", key, ours.iv, {
        authTagLength: 16,
      } as object);
      decipher.setAAD(aad, { plaintextLength: size } as never);
      decipher.setAuthTag(ours.tag);
      expect(Buffer.concat([decipher.update(ours.data), decipher.final()]).equals(data)).toBe(true);
      const iv = crypto.randomBytes(12);
      const cipher = crypto.createCipheriv(algorithm as "aes-256-gcm", key, iv, {
        authTagLength: 16,
      } as object);
      cipher.setAAD(aad, { plaintextLength: size } as never);
      const theirs = Buffer.concat([cipher.update(data), cipher.final()]);
      const back = await manager.run<Result>("ENCRYPTION", {
        data: theirs,
        operation: "decrypt",
        algorithm,
        key,
        aad,
        iv,
        tag: cipher.getAuthTag(),
      });
      expect(back.data.equals(data)).toBe(true);
    }
  });

  test("uses a new iv each time", async () => {
    const manager = native();
    const [one, two] = await Promise.all(
      [1, 2].map(async () => manager.run<Result>("ENCRYPTION", { data: "x", operation: "encrypt", key })),
    );
    expect(one!.iv.equals(two!.iv)).toBe(false);
  });

  test("notices changes and other keys", async () => {
    const manager = native();
    const { data, iv, tag } = await manager.run<Result>("ENCRYPTION", {
      data: "secret",
      operation: "encrypt",
      key,
    });
    const changed = Buffer.from(data);
    changed[0]! ^= 1;
    for (const change of [
      { data: changed },
      { key: Buffer.alloc(32, 8) },
      { tag: Buffer.alloc(16) },
      { aad: "x" },
    ])
      expect(
        await rejection(manager.run("ENCRYPTION", { data, iv, tag, key, operation: "decrypt", ...change })),
      ).toMatchObject({ code: "AUTHENTICATION_FAILED" });
  });

  test.each(["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])(
    "%s and its hmac are those of node:crypto",
    async (algorithm) => {
      const manager = native();
      for (const size of [0, 1, 262_145]) {
        const data = sampleOf(size);
        const hash = await manager.run<Result>("ENCRYPTION", { data, operation: "hash", algorithm });
        expect(hash.digest).toBe(crypto.createHash(algorithm).update(data).digest("hex"));
        const hmac = await manager.run<Result>("ENCRYPTION", {
          data,
          operation: "hmac",
          algorithm,
          key: "a key",
        });
        expect(hmac.digest).toBe(crypto.createHmac(algorithm, "a key").update(data).digest("hex"));
      }
    },
  );

  test("keys are derived as node:crypto does", async () => {
    const manager = native();
    const derive = async (fields: object): Promise<Buffer> =>
      (
        await manager.run<Result>("ENCRYPTION", {
          data: "password",
          operation: "derive",
          salt: "some salt",
          ...fields,
        })
      ).key;
    expect(await derive({ algorithm: "scrypt" })).toEqual(crypto.scryptSync("password", "some salt", 32));
    expect(
      await derive({ algorithm: "scrypt", cost: 1024, blockSize: 4, parallelization: 2, length: 48 }),
    ).toEqual(crypto.scryptSync("password", "some salt", 48, { N: 1024, r: 4, p: 2 }));
    expect(await derive({ algorithm: "pbkdf2", iterations: 1000 })).toEqual(
      crypto.pbkdf2Sync("password", "some salt", 1000, 32, "sha256"),
    );
    // RFC 9106 has no vector without a secret; this one is of the reference implementation.
    const argon2 = await derive({
      algorithm: "argon2id",
      salt: "somesalt",
      memory: 65_536,
      iterations: 2,
      parallelization: 1,
    });
    expect(argon2.toString("hex")).toBe("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
  });

  test.each<[string, object]>([
    ["no key", { operation: "encrypt" }],
    ["a short key", { operation: "encrypt", key: "short" }],
    ["a short iv", { operation: "encrypt", key, iv: "short" }],
    ["no iv", { operation: "decrypt", key, tag: Buffer.alloc(16) }],
    ["no tag", { operation: "decrypt", key, iv: Buffer.alloc(12) }],
    ["a short tag", { operation: "decrypt", key, iv: Buffer.alloc(12), tag: "short" }],
    ["an unknown cipher", { operation: "encrypt", key, algorithm: "rot13" }],
    ["an unknown hash", { operation: "hash", algorithm: "crc" }],
    ["an unknown operation", { operation: "guess" }],
    ["no operation", {}],
    ["no salt", { operation: "derive" }],
    ["an odd cost", { operation: "derive", salt: "salt", cost: 1000 }],
    ["too long a key", { operation: "derive", salt: "salt", length: 5000 }],
    [
      "too many rounds",
      { operation: "derive", salt: "salt", algorithm: "pbkdf2", iterations: 4_000_000_000 },
    ],
  ])("%s is refused", async (_name, fields) => {
    expect(await rejection(native().run("ENCRYPTION", { data: "x", ...fields }))).toMatchObject({
      code: "INVALID_PAYLOAD",
    });
  });

  test("a derivation that would take all memory is refused", async () => {
    for (const fields of [{ cost: 2 ** 40 }, { algorithm: "argon2id", memory: 4_000_000 }])
      expect(
        await rejection(
          native().run("ENCRYPTION", { data: "x", operation: "derive", salt: "some salt", ...fields }),
        ),
      ).toMatchObject({ code: "TOO_LARGE" });
  });
});

describe("analysis", () => {
  test("is what the formulas give", async () => {
    const values = [...sampleOf(999)].map((byte, index) => byte * 1.5 - index);
    const { summary } = await native().run<{ summary: Record<string, number> }>("ANALYSIS", { data: values });
    const sorted = [...values].sort((a, b) => a - b);
    const sum = values.reduce((total, value) => total + value, 0);
    const mean = sum / 999;
    expect(summary).toEqual({
      count: 999,
      min: sorted[0],
      max: sorted[998],
      sum: expect.closeTo(sum, 6),
      mean: expect.closeTo(mean, 9),
      stddev: expect.closeTo(
        Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / 999),
        9,
      ),
      median: sorted[499],
      p90: expect.closeTo(sorted[898]! + 0.2 * (sorted[899]! - sorted[898]!), 9),
      p99: expect.closeTo(sorted[988]! + 0.02 * (sorted[989]! - sorted[988]!), 9),
    });
  });

  test("of nothing is all zeros, of huge values finite", async () => {
    const manager = native();
    for (const payload of [{}, null, { data: [] }, { dataset: "large" }, { data: new Float32Array(0) }])
      expect(Object.values((await manager.run("ANALYSIS", payload)).summary)).toEqual(
        Array.from({ length: 9 }, () => 0),
      );
    const { summary } = await manager.run("ANALYSIS", {
      data: [Number.MAX_VALUE, Number.MAX_VALUE, -Number.MAX_VALUE],
    });
    for (const value of Object.values(summary as object)) expect(Number.isFinite(value)).toBe(true);
  });

  test("takes typed arrays, and nothing but numbers", async () => {
    const manager = native();
    expect((await manager.run("ANALYSIS", { data: Int16Array.of(-5, 5) })).summary).toMatchObject({
      count: 2,
      mean: 0,
      median: 0,
    });
    for (const data of [["1"], "12", {}, 5, [1, null], new DataView(new ArrayBuffer(8))])
      expect(await rejection(manager.submitTask("ANALYSIS", { data }))).toMatchObject({
        code: "VALIDATION_ERROR",
        field: "payload",
      });
    expect(await rejection(manager.run("ANALYSIS", { data: [NaN] }))).toMatchObject({
      code: "INVALID_PAYLOAD",
    });
  });
});

describe("files", () => {
  test("are read, written, hashed, looked at and split", async () => {
    const manager = native();
    const path = join(folder, "file.txt");
    const data = `one\ntwo\r\n${"x".repeat(600_000)}\n`;
    expect(await manager.run("FILE_IO", { path, operation: "write", data })).toEqual({
      path,
      size: data.length,
    });
    expect(readFileSync(path, "utf8")).toBe(data);
    const read = await manager.run<Result>("FILE_IO", { path });
    expect([read.data.toString(), read.size]).toEqual([data, data.length]);
    const { digest } = await manager.run("FILE_IO", { path, operation: "hash", algorithm: "sha512" });
    expect(digest).toBe(crypto.createHash("sha512").update(data).digest("hex"));
    expect(await manager.run("FILE_IO", { path, operation: "stat" })).toMatchObject({
      size: data.length,
      isFile: true,
      isDirectory: false,
    });
    expect(await manager.run("FILE_IO", { path, operation: "lines" })).toEqual({
      lines: ["one", "two", "x".repeat(600_000)],
      count: 3,
    });
  });

  test("that are not there, or no files, or too large are refused", async () => {
    const manager = native();
    expect(await rejection(manager.run("FILE_IO", { path: join(folder, "none") }))).toMatchObject({
      code: "ENOENT",
    });
    expect(
      await rejection(manager.run("FILE_IO", { path: folder, operation: "write", data: "" })),
    ).toMatchObject({ code: "EISDIR" });
    expect(await rejection(manager.run("FILE_IO", { path: __filename, maxOutputBytes: 10 }))).toMatchObject({
      code: "TOO_LARGE",
    });
    expect(await rejection(manager.run("FILE_IO", {}))).toMatchObject({
      code: "INVALID_PAYLOAD",
      message: "missing field `path`",
    });
    writeFileSync(join(folder, "binary"), Buffer.of(0xff, 0xfe));
    expect(
      await rejection(manager.run("FILE_IO", { path: join(folder, "binary"), operation: "lines" })),
    ).toMatchObject({ code: "CORRUPT_DATA" });
  });
});

describe("images", () => {
  const width = 320;
  const height = 200;

  /** A photograph-like picture: soft gradients with some structure. */
  function pixels(): Buffer {
    const rgb = Buffer.alloc(width * height * 3);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * 3;
        rgb[at] = (x * 255) / width;
        rgb[at + 1] = (y * 255) / height;
        rgb[at + 2] = 127 + 120 * Math.sin(x / 9) * Math.cos(y / 7);
      }
    return rgb;
  }

  function rec709(): sharp.Sharp {
    const gray = Buffer.alloc(width * height);
    const rgb = pixels();
    for (let at = 0; at < gray.length; at++)
      gray[at] = 0.2126 * rgb[3 * at]! + 0.7152 * rgb[3 * at + 1]! + 0.0722 * rgb[3 * at + 2]!;
    return sharp(gray, { raw: { width, height, channels: 1 } });
  }

  const picture = sharp(pixels(), { raw: { width, height, channels: 3 } });

  /** The mean difference of all channels, 0 to 255. */
  async function difference(left: Buffer, right: Buffer): Promise<number> {
    const [a, b] = await Promise.all(
      [left, right].map(async (image) => sharp(image).removeAlpha().toColourspace("srgb").raw().toBuffer()),
    );
    expect(a!.length).toBe(b!.length);
    return a!.reduce((sum, value, index) => sum + Math.abs(value - b![index]!), 0) / a!.length;
  }

  test.each(["jpeg", "png", "webp", "gif"] as const)(
    "%s is read as sharp reads it, and written so that sharp reads it",
    async (format) => {
      const manager = native();
      const source = await picture.clone().toFormat(format, { quality: 95 }).toBuffer();
      expect(await manager.run("IMAGE_MANIPULATION", { image: source, operation: "info" })).toEqual({
        format,
        width,
        height,
        size: source.length,
      });
      const png = await manager.run<Result>("IMAGE_MANIPULATION", {
        image: source,
        operation: "convert",
        format: "png",
      });
      expect(await difference(png.data, source)).toBeLessThan(1.5);
      const back = await manager.run<Result>("IMAGE_MANIPULATION", {
        image: png.data,
        operation: "convert",
        format,
        quality: 95,
      });
      expect(back).toMatchObject({ format, width, height, size: back.data.length });
      expect(await difference(back.data, png.data)).toBeLessThan(format === "gif" ? 12 : 3);
    },
  );

  test.each([
    ["cover", 100, 100],
    ["contain", 100, 100],
    ["fill", 77, 33],
    ["inside", 90, 90],
  ] as const)("resize with fit %s gives what sharp gives", async (fit, toWidth, toHeight) => {
    const image = await picture.clone().png().toBuffer();
    const ours = await native().run<Result>("IMAGE_MANIPULATION", {
      image,
      operation: "resize",
      width: toWidth,
      height: toHeight,
      fit,
    });
    const theirs = await sharp(image)
      .resize(toWidth, toHeight, { fit, background: "black" })
      .png()
      .toBuffer();
    const meta = await sharp(theirs).metadata();
    expect([ours.width, ours.height]).toEqual([meta.width, meta.height]);
    expect(await difference(ours.data, theirs)).toBeLessThan(2);
  });

  test("a large JPEG is reduced while it is read", async () => {
    const image = await picture.clone().resize(1600, 1000).jpeg({ quality: 92 }).toBuffer();
    const ours = await native().run<Result>("IMAGE_MANIPULATION", {
      image,
      operation: "resize",
      width: 160,
      format: "png",
    });
    const theirs = await sharp(image).resize(160).png().toBuffer();
    expect([ours.width, ours.height]).toEqual([160, 100]);
    expect(await difference(ours.data, theirs)).toBeLessThan(3);
  });

  test("crop, rotate, flip, grayscale and blur are those of sharp", async () => {
    const manager = native();
    const image = await picture.clone().png().toBuffer();
    const run = async (fields: object): Promise<Buffer> =>
      (await manager.run<Result>("IMAGE_MANIPULATION", { image, ...fields })).data;
    const cases: [object, sharp.Sharp, number][] = [
      [
        { operation: "crop", x: 10, y: 20, width: 50, height: 60 },
        sharp(image).extract({ left: 10, top: 20, width: 50, height: 60 }),
        0,
      ],
      [{ operation: "rotate", angle: 90 }, sharp(image).rotate(90), 0],
      [{ operation: "rotate", angle: -90 }, sharp(image).rotate(270), 0],
      [{ operation: "rotate", angle: 180 }, sharp(image).rotate(180), 0],
      [{ operation: "flip" }, sharp(image).flip(), 0],
      [{ operation: "flip", direction: "horizontal" }, sharp(image).flop(), 0],
      // Rec. 709 on the values as they are, as ImageMagick does; sharp weighs light, not values.
      [{ operation: "grayscale" }, rec709(), 1],
      [{ operation: "blur", sigma: 3 }, sharp(image).blur(3), 4],
    ];
    for (const [fields, theirs, tolerance] of cases)
      expect(await difference(await run(fields), await theirs.png().toBuffer())).toBeLessThanOrEqual(
        tolerance,
      );
  });

  test("paths are read and written", async () => {
    const [image, output] = [join(folder, "in.jpg"), join(folder, "out.png")];
    await picture.clone().jpeg().toFile(image);
    const result = await native().run<Result>("IMAGE_MANIPULATION", {
      image,
      operation: "resize",
      width: 80,
      height: 60,
      format: "png",
      output,
    });
    expect(result).toEqual({
      path: output,
      format: "png",
      width: 80,
      height: 60,
      size: readFileSync(output).length,
    });
    expect(await sharp(output).metadata()).toMatchObject({ width: 80, height: 60, format: "png" });
  });

  test("bombs, broken images and wrong requests are refused", async () => {
    const manager = native();
    const image = await picture.clone().png().toBuffer();
    const refused = async (fields: object, code: string): Promise<void> => {
      expect(await rejection(manager.run("IMAGE_MANIPULATION", { image, ...fields }))).toMatchObject({
        code,
      });
    };
    await refused({ operation: "convert", maxPixels: 1000 }, "TOO_LARGE");
    await refused({ operation: "resize", width: 60_000, height: 60_000, fit: "fill" }, "TOO_LARGE");
    await refused({ image: Buffer.from("no image"), operation: "info" }, "CORRUPT_DATA");
    await refused({ image: image.subarray(0, 500), operation: "convert" }, "CORRUPT_DATA");
    await refused({ image: Buffer.alloc(0), operation: "info" }, "CORRUPT_DATA");
    await refused({ operation: "resize" }, "INVALID_PAYLOAD");
    await refused({ operation: "resize", width: 0 }, "INVALID_PAYLOAD");
    await refused({ operation: "resize", width: -5 }, "INVALID_PAYLOAD");
    await refused({ operation: "crop", width: 400, height: 10 }, "INVALID_PAYLOAD");
    await refused({ operation: "rotate", angle: 45 }, "INVALID_PAYLOAD");
    await refused({ operation: "blur", sigma: 0 }, "INVALID_PAYLOAD");
    await refused({ operation: "convert", format: "tiff" }, "INVALID_PAYLOAD");
    await refused({ operation: "convert", format: "jpeg", quality: 0 }, "INVALID_PAYLOAD");
    await refused({ operation: "paint" }, "INVALID_PAYLOAD");
  });
});

describe("native tasks", () => {
  const large = Buffer.alloc(64 * 1024 * 1024, "abcdefg");
  const slow = { data: large, algorithm: "brotli", level: 11 };

  test("can be cancelled while they run", async () => {
    const manager = native();
    const result = rejection(manager.run("COMPRESSION", slow));
    const [{ worker }] = await nextEvent(manager, "taskAssigned");
    expect(worker).toMatchObject({
      id: expect.stringMatching(/^native-\d+$/),
      state: "BUSY",
      currentTask: "task-1",
    });
    expect(await manager.cancelTask("task-1")).toBe(true);
    expect(await result).toMatchObject({ code: "TASK_CANCELLED" });
    expect((await manager.run("COMPRESSION", { data: "next" })).originalSize).toBe(4);
  });

  test("end at their timeout, and may be repeated", async () => {
    const manager = native({ maxRetries: 1, retryDelay: 1 });
    const timeouts = jest.fn();
    manager.on("taskTimeout", timeouts);
    expect(await rejection(manager.run("COMPRESSION", slow, { timeout: 40 }))).toMatchObject({
      code: "TASK_TIMEOUT",
    });
    expect(timeouts).toHaveBeenCalledTimes(2);
    expect((await manager.run("COMPRESSION", { data: "next" })).originalSize).toBe(4);
  });

  test("end with the manager", async () => {
    const manager = native();
    const result = rejection(manager.run("COMPRESSION", slow));
    await nextEvent(manager, "taskAssigned");
    await manager.shutdown({ force: true });
    expect(await result).toMatchObject({ code: "MANAGER_SHUTDOWN" });
  });

  test("need no thread, and are no workers in the status and the metrics", async () => {
    const manager = native({ minWorkers: 1 });
    await manager.ready();
    const result = rejection(manager.run("COMPRESSION", slow));
    await nextEvent(manager, "taskAssigned");
    expect(manager.getMetrics()).toMatchObject({ runningTasks: 1, totalWorkers: 1, activeWorkers: 0 });
    await manager.cancelTask("task-1");
    await result;
    await manager.run("COMPRESSION", { data: "text" });
    expect(manager.getWorkerStatus()).toMatchObject([{ id: "worker-1", tasksCompleted: 0 }]);
  });

  test("follow priorities, dependencies and the limit of the queue as others do", async () => {
    const manager = native({ maxTaskQueueSize: 3 });
    manager.pause();
    const first = await manager.submitTask("ENCRYPTION", { data: "a", operation: "hash" });
    const after = manager.run("ANALYSIS", { data: [1] }, { dependencies: [first], metadata: { n: 1 } });
    const last = manager.run("FILE_IO", { path: "/none" }, { dependencies: [first] });
    expect(await rejection(manager.run("ANALYSIS", {}))).toMatchObject({ code: "QUEUE_FULL" });
    manager.resume();
    expect((await after).summary.count).toBe(1);
    expect(await rejection(last)).toMatchObject({
      code: "ENOENT",
      taskId: "task-3",
      workerId: expect.stringContaining("native-"),
    });
  });

  test.each<TaskTypeName>(["COMPRESSION", "ENCRYPTION", "IMAGE_MANIPULATION", "FILE_IO", "ANALYSIS"])(
    "of type %s have payloads that are checked at submission",
    async (type) => {
      const manager = native();
      expect(await rejection(manager.submitTask(type, "text"))).toMatchObject({
        code: "VALIDATION_ERROR",
        field: "payload",
      });
      expect(
        await rejection(manager.submitTask(type, { data: 5, operation: "write", image: 5 })),
      ).toMatchObject({ field: "payload" });
      expect(
        await rejection(
          manager.submitTask(type, { data: "", operation: "write", image: "", deep: 1n, n: [] }),
        ),
      ).toMatchObject({ field: "payload" });
    },
  );

  test("refuse options that mean nothing to them", async () => {
    const manager = native();
    const buffer = new ArrayBuffer(8);
    for (const [field, options] of [
      ["transferList", { transferList: [buffer] }],
      ["passDependencyResults", { passDependencyResults: true }],
    ] as const)
      expect(
        await rejection(manager.submitTask("COMPRESSION", { data: buffer }, null, options)),
      ).toMatchObject({
        code: "VALIDATION_ERROR",
        field,
      });
    expect(buffer.byteLength).toBe(8);
  });

  test("give way to a handler module or a script", async () => {
    const manager = native({ handlers: { COMPRESSION: script("actions.cjs") } });
    expect(await manager.run("COMPRESSION", { action: "echo", value: "mine" })).toBe("mine");
    const scripted = native({ workerScriptPath: script("echo-script.cjs") });
    expect(await scripted.run("ANALYSIS", { data: "anything" })).toMatchObject({ taskType: "ANALYSIS" });
  });
});
