import { echo, serve, servePlain, stopAll, transcript } from "./support/http";

/*
 * Requests, good and bad, of which the answer is compared byte by byte with that of node:http.
 */

afterEach(stopAll);

const HOST = "Host: x\r\n";
const LAST = "Host: x\r\nConnection: close\r\n";

/** The requests to whichever node:http answers with the echo, on a connection that is closed after the last. */
const accepted: [string, string][] = [
  ["GET", `GET /a?b=c HTTP/1.1\r\n${LAST}\r\n`],
  ["HEAD", `HEAD / HTTP/1.1\r\n${LAST}\r\n`],
  ["DELETE without a body", `DELETE /1 HTTP/1.1\r\n${LAST}\r\n`],
  ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${LAST}\r\n`],
  ["a method of WebDAV", `PROPFIND / HTTP/1.1\r\n${LAST}\r\n`],
  ["an absolute target", `GET http://x/a HTTP/1.1\r\n${LAST}\r\n`],
  ["a body of known length", `POST / HTTP/1.1\r\n${LAST}Content-Length: 5\r\n\r\nhello`],
  [
    "a body in chunks",
    `POST / HTTP/1.1\r\n${LAST}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`,
  ],
  [
    "a chunk extension",
    `POST / HTTP/1.1\r\n${LAST}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n`,
  ],
  [
    "trailers",
    `POST / HTTP/1.1\r\n${LAST}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n`,
  ],
  ["the chunked coding in capitals", `POST / HTTP/1.1\r\n${LAST}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n`],
  ["HTTP/1.0", `GET / HTTP/1.0\r\n\r\n`],
  ["HTTP/1.0 with a body", `POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi`],
  ["Expect: 100-continue", `POST / HTTP/1.1\r\n${LAST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi`],
  ["an expectation nobody knows", `POST / HTTP/1.1\r\n${LAST}Expect: miracles\r\nContent-Length: 0\r\n\r\n`],
  [
    "headers that stand twice",
    `GET / HTTP/1.1\r\n${LAST}Cookie: a\r\nCookie: b\r\nX: 1\r\nx: 2\r\nAge: 1\r\nAge: 2\r\n\r\n`,
  ],
  ["a second Host", `GET / HTTP/1.1\r\n${LAST}Host: y\r\n\r\n`],
  ["an empty header", `GET / HTTP/1.1\r\n${LAST}Empty:\r\n\r\n`],
  ["spaces around a value", `GET / HTTP/1.1\r\n${LAST}X:  \t a b \t \r\n\r\n`],
  ["bytes over 127 in a value", `GET / HTTP/1.1\r\n${LAST}X: caf\xe9\r\n\r\n`],
  ["an empty line before the request", `\r\nGET / HTTP/1.1\r\n${LAST}\r\n`],
  ["a target of 8 KiB", `GET /${"p".repeat(8192)} HTTP/1.1\r\n${LAST}\r\n`],
  ["200 headers", `GET / HTTP/1.1\r\n${LAST}${"A: b\r\n".repeat(200)}\r\n`],
  ["a head of almost 16 KiB", `GET / HTTP/1.1\r\n${LAST}X: ${"x".repeat(16_000)}\r\n\r\n`],
  ["an Upgrade without Connection: Upgrade", `GET / HTTP/1.1\r\n${LAST}Upgrade: websocket\r\n\r\n`],
];

const smuggling: [string, string][] = [
  ["a length and chunks", `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["chunks and a length", `Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ["a length of zero and chunks", `Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["two lengths", `Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
  ["the same length twice", `Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ["a list of lengths", `Content-Length: 5, 5\r\n\r\nhello`],
  ["a negative length", `Content-Length: -5\r\n\r\nhello`],
  ["a length with a sign", `Content-Length: +5\r\n\r\nhello`],
  ["a hexadecimal length", `Content-Length: 0x5\r\n\r\nhello`],
  ["a length without digits", `Content-Length:\r\n\r\nhello`],
  ["a length with a space in it", `Content-Length: 1 2\r\n\r\nhello`],
  ["a length beyond 64 bits", `Content-Length: 99999999999999999999999\r\n\r\nhello`],
  ["a coding that is not chunked", `Transfer-Encoding: gzip\r\n\r\nhello`],
  ["chunked before another coding", `Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ["chunked twice", `Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  [
    "two Transfer-Encoding headers",
    `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
  ],
  ["a coding like chunked", `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ["chunked in quotes", `Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
  ["a space before the colon", `Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ["a vertical tab in the coding", `Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n`],
  ["a folded coding", `Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ["a folded header", `X: a\r\n b\r\n\r\n`],
  ["a bare LF behind a header", `X: a\nContent-Length: 5\r\n\r\nhello`],
  ["a bare LF as the empty line", `X: a\r\n\n`],
  ["a bare CR in a header", `X: a\rY: b\r\n\r\n`],
  ["a NUL in a header", `X: a\0b\r\n\r\n`],
  ["a NUL in a header's name", `X\0: a\r\n\r\n`],
  ["a chunk size that is no number", `Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n`],
  ["a chunk size with 0x", `Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n`],
  ["a negative chunk size", `Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n`],
  [
    "a chunk size beyond 64 bits",
    `Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n`,
  ],
  ["a bare LF behind a chunk size", `Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n`],
  ["a bare LF in a chunk extension", `Transfer-Encoding: chunked\r\n\r\n5;a\n\r\nhello\r\n0\r\n\r\n`],
];

/** Alone only: behind another request it depends on Node's own reading whether it says 400 or nothing. */
const badChunks: [string, string][] = [
  ["a chunk longer than its size", `Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n`],
  ["a bare LF behind a chunk", `Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n`],
];

const malformed: [string, string | Buffer][] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n"],
  ["a header without a colon", `GET / HTTP/1.1\r\n${LAST}nonsense\r\n\r\n`],
  ["a header without a name", `GET / HTTP/1.1\r\n${LAST}: x\r\n\r\n`],
  ["a header's name with a space", `GET / HTTP/1.1\r\n${LAST}a b: x\r\n\r\n`],
  ["lines that end with LF only", "GET / HTTP/1.1\nHost: x\n\n"],
  ["a method in small letters", `get / HTTP/1.1\r\n${LAST}\r\n`],
  ["a method nobody knows", `FETCH / HTTP/1.1\r\n${LAST}\r\n`],
  ["no target", `GET HTTP/1.1\r\n${LAST}\r\n`],
  ["a space in the target", `GET /a b HTTP/1.1\r\n${LAST}\r\n`],
  ["two spaces before the version", `GET /  HTTP/1.1\r\n${LAST}\r\n`],
  ["a target without a slash", `GET a HTTP/1.1\r\n${LAST}\r\n`],
  ["a control character in the target", `GET /\x01 HTTP/1.1\r\n${LAST}\r\n`],
  ["no version", `GET /\r\n${LAST}\r\n`],
  ["HTTP/1.2", `GET / HTTP/1.2\r\n${LAST}\r\n`],
  ["HTTP/3.0", `GET / HTTP/3.0\r\n${LAST}\r\n`],
  ["another protocol", `GET / RTSP/1.0\r\n${LAST}\r\n`],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a TLS hello", Buffer.from("160301005a0100005603030000", "hex")],
  ["a header of 17 KiB", `GET / HTTP/1.1\r\n${LAST}X: ${"x".repeat(17 * 1024)}\r\n\r\n`],
  ["headers of 17 KiB together", `GET / HTTP/1.1\r\n${LAST}${`X: ${"x".repeat(1000)}\r\n`.repeat(17)}\r\n`],
  ["a target of 17 KiB", `GET /${"p".repeat(17 * 1024)} HTTP/1.1\r\n${LAST}\r\n`],
  ["endless bytes without a line", "x".repeat(20 * 1024)],
  ["CONNECT", `CONNECT x:1 HTTP/1.1\r\n${LAST}\r\n`],
];

type Packets = (string | Buffer)[];

/** What we and what node:http send in answer. */
async function bothAnswers(packets: Packets, options = {}): Promise<{ ours: string; nodes: string }> {
  const { port } = await serve(echo);
  const plainPort = await servePlain(echo);
  const [ours, nodes] = await Promise.all([port, plainPort].map((at) => transcript(at, packets, options)));
  return { ours: ours!, nodes: nodes! };
}

async function expectAsNode(packets: Packets, status: RegExp, options = {}): Promise<void> {
  const { ours, nodes } = await bothAnswers(packets, options);

  expect(nodes).toMatch(status);
  expect(ours).toBe(nodes);
}

const ANY = /(?:)/;
const GOOD = `GET /before HTTP/1.1\r\n${HOST}\r\n`;

describe("a request is answered as node:http does", () => {
  test.each(accepted)("%s", (_case, text) => expectAsNode([text], /^HTTP\/1\.1 (?:100|200|417) /));

  test.each(accepted.filter(([, text]) => text.length < 300))("byte by byte: %s", (_case, text) =>
    expectAsNode([...text], /^HTTP\/1\.1 (?:100|200|417) /),
  );

  test.each(accepted)("behind another one: %s", (_case, text) =>
    expectAsNode([GOOD + text], /^HTTP\/1\.1 200 /),
  );
});

test.each([1_000, 2_500])("%i headers are kept, dropped or refused as by this version of Node", (count) =>
  expectAsNode([`GET / HTTP/1.1\r\n${LAST}${"A:b\r\n".repeat(count)}\r\n`], ANY),
);

describe("what could smuggle a request past a proxy is treated as by node:http", () => {
  const head = `POST / HTTP/1.1\r\n${LAST}`;
  // What follows would be the smuggled request.
  const tail = `GET /smuggled HTTP/1.1\r\n${LAST}\r\n`;

  test.each([...smuggling, ...badChunks])("%s", (_case, text) =>
    expectAsNode([head + text + tail], ANY, { halfClose: true }),
  );

  test.each(smuggling)("behind another request: %s", (_case, text) =>
    expectAsNode([GOOD + head + text + tail], ANY, { halfClose: true }),
  );

  test.each([
    ["a length and chunks", `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["two lengths", `Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ["a bare LF behind a header", `X: a\nContent-Length: 5\r\n\r\nhello`],
  ])("%s is refused with 400", async (_case, text) => {
    const { port } = await serve(echo);

    expect(await transcript(port, [head + text + tail])).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});

describe("what is no request is refused as by node:http", () => {
  test.each(malformed)("%s", (_case, bytes) => expectAsNode([bytes], ANY));

  // How much of a larger one Node has read by then is a matter of its buffers.
  test.each(malformed.filter(([, bytes]) => bytes.length < 1_024))("behind a request: %s", (_case, bytes) =>
    expectAsNode(
      [Buffer.concat([Buffer.from(GOOD), Buffer.from(bytes as string, "latin1")])],
      /^HTTP\/1\.1 200 /,
    ),
  );

  test.each([
    ["half a head", "GET / HTTP/1.1\r\nHost"],
    ["a head without its empty line", `GET / HTTP/1.1\r\n${HOST}`],
    ["half a body", `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhe`],
    ["half a chunk", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhe`],
    ["nothing", ""],
  ])("%s and the end of the stream", (_case, text) => expectAsNode([text], ANY, { halfClose: true }));
});

describe("several requests on a connection are answered in order as by node:http", () => {
  const post = (body: string, headers = HOST): string =>
    `POST /${body} HTTP/1.1\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

  test("all in one packet", () =>
    expectAsNode([GOOD + post("one") + post("two") + GOOD + post("last", LAST)], /^HTTP\/1\.1 200 /));

  test("one packet each", () =>
    expectAsNode([GOOD, post("one"), post("two"), GOOD, post("last", LAST)], /^HTTP\/1\.1 200 /));

  test("cut at odd places", () => {
    const text = GOOD + post("one") + post("two") + post("last", LAST);
    return expectAsNode(text.match(/[^]{1,7}/g)!, /^HTTP\/1\.1 200 /);
  });

  test("and nothing behind Connection: close", () => expectAsNode([post("last", LAST) + GOOD + GOOD], ANY));

  test("of HTTP/1.0 with keep-alive", () =>
    expectAsNode(
      ["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /last HTTP/1.0\r\n\r\n"],
      /^HTTP\/1\.1 200 /,
    ));

  test("when the client ends its side behind them", () =>
    expectAsNode([GOOD + post("one")], ANY, { halfClose: true }));
});
