import type { IncomingMessage, ServerResponse } from "node:http";
import { serve, servePlain, stopAll, transcript } from "./support/http";

/*
 * Answers in every form in which a handler can write them, compared byte by byte with those of node:http.
 */

afterEach(stopAll);

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

const LAST = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const LONG = "x".repeat(300 * 1024);

const answers: [string, Handler][] = [
  ["nothing", (_req, res) => res.end()],
  ["plain text", (_req, res) => res.end("hello")],
  ["text behind a head of its own", (_req, res) => res.writeHead(200, { "X-A": "b" }).end("hello")],
  ["text that is not ASCII", (_req, res) => res.end("h\xe9llo w\u00f6rld")],
  ["text beyond latin-1", (_req, res) => res.end("h\u20acllo \ud83d\ude00")],
  ["half a character", (_req, res) => res.end("a\ud83d")],
  ["a header that is not ASCII", (_req, res) => res.writeHead(200, { "X-A": "caf\xe9" }).end("hello")],
  ["both", (_req, res) => res.writeHead(200, { "X-A": "caf\xe9" }).end("h\u20acllo")],
  ["a reason that is not ASCII", (_req, res) => res.writeHead(200, "D\xe9j\xe0 vu").end("hello")],
  ["control characters", (_req, res) => res.end("\x00\x01\x7f\r\n\r\n")],
  ["line ends as text", (_req, res) => res.writeHead(200).end("\r\n")],
  ["line ends as bytes", (_req, res) => res.writeHead(200).end(Buffer.from("\r\n"))],
  ["bytes", (_req, res) => res.end(Buffer.from([0, 128, 255, 13, 10]))],
  ["bytes in chunks", (_req, res) => (res.write(Buffer.from([200, 201])), res.end(Buffer.from([13, 10])))],
  ["text and bytes", (_req, res) => (res.write("a\xe9"), res.write(Buffer.from([255])), res.end("b"))],
  ["latin-1", (_req, res) => res.end("h\xe9llo", "latin1")],
  ["latin-1 and UTF-8", (_req, res) => (res.write("\xe9", "latin1"), res.end("\xe9", "utf8"))],
  ["UTF-16", (_req, res) => res.end("hello", "utf16le")],
  ["hexadecimal", (_req, res) => res.end("00ff0d0a", "hex")],
  ["base64", (_req, res) => res.end("aGVsbG8=", "base64")],
  ["ASCII", (_req, res) => res.end("hello", "ascii")],
  ["binary", (_req, res) => res.end("h\xe9llo", "binary")],
  ["an encoding in capitals", (_req, res) => res.end("h\xe9llo", "UTF-8" as "utf-8")],
  ["much text", (_req, res) => res.end(LONG)],
  ["much text that is not ASCII", (_req, res) => res.end(`${LONG}\u20ac`)],
  ["many pieces", (_req, res) => (Array.from({ length: 500 }, (_, n) => res.write(`${n} `)), res.end())],
  ["trailers", (_req, res) => (res.setHeader("Trailer", "X-B"), res.write("a"), addTrailers(res).end())],
  ["its socket's words", (req) => (req.socket.write("caf\xe9"), req.socket.end("\xe9", "latin1"))],
  ["its socket's bytes", (req) => (req.socket.write("c0ffee", "hex"), req.socket.end(Buffer.from([254])))],
];

function addTrailers(res: ServerResponse): ServerResponse {
  res.addTrailers({ "X-B": "caf\xe9" });
  return res;
}

test.each(answers)("%s", async (_what, handler) => {
  const { port } = await serve(handler);
  const plainPort = await servePlain(handler);

  const ours = await transcript(port, [LAST]);

  expect(ours).not.toBe("");
  expect(ours).toBe(await transcript(plainPort, [LAST]));
});

test("a socket counts the bytes that it wrote", async () => {
  const counts: number[] = [];
  const handler: Handler = (_req, res) => {
    const { socket } = res;
    res.once("close", () => counts.push(socket!.bytesWritten));
    res.writeHead(200, { Date: "x", "X-A": "caf\xe9" }).end("h\u20acllo");
  };
  const { port } = await serve(handler);
  const plainPort = await servePlain(handler);

  await transcript(port, [LAST]);
  await transcript(plainPort, [LAST]);

  expect(counts[0]).toBeGreaterThan(0);
  expect(counts[0]).toBe(counts[1]);
});
