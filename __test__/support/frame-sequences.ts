import { frame } from "./raw-connection";

/** A text frame with a message that `ws` and the server deliver alike. */
function message(name: string): Buffer {
  return frame("text", json(name));
}

function json(name: string): string {
  return JSON.stringify({ type: name });
}

/** A frame of which everything is said: masked with zeros, its length in whatever form. */
function raw(first: number, length: number[], payload: string | Buffer = ""): Buffer {
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), Buffer.from(payload as string)]);
}

function close(code: number, reason: string | Buffer = ""): Buffer {
  return frame(
    "close",
    Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason as string)]),
  );
}

function cut(text: string, at: number): [Buffer, Buffer] {
  const bytes = Buffer.from(text);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

const [front, back] = cut('{"type":"é"}', 10);
const opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const closeCodes = [
  0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,
  1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535,
];
const noText = [
  "ff",
  "80",
  "c0af",
  "e080af",
  "eda080",
  "edbfbf",
  "f4908080",
  "f888808080",
  "61c3",
  "e282",
  "f09f98",
];
const header64 = (bytes: number[]): number[] => [0xff, ...bytes];

/** What a client sends, by name; whatever `ws` makes of it, so must we. */
export const frameSequences: [string, Buffer[]][] = [
  ["a message", [message("a")]],
  ["messages behind each other", [message("a"), message("b"), message("c")]],
  ["a binary message", [frame("binary", json("a"))]],
  ["a message in fragments", [frame("text", '{"type":', { fin: false }), frame("continuation", '"a"}')]],
  [
    "empty fragments",
    [
      frame("text", "", { fin: false }),
      frame("continuation", json("a"), { fin: false }),
      frame("continuation", ""),
    ],
  ],
  ["a character cut between fragments", [frame("text", front, { fin: false }), frame("continuation", back)]],
  ["a binary message in fragments", [frame("binary", front, { fin: false }), frame("continuation", back)]],
  [
    "a ping between fragments",
    [frame("text", front, { fin: false }), frame("ping", "between"), frame("continuation", back)],
  ],
  ["pings", [frame("ping"), frame("ping", "x"), frame("ping", Buffer.alloc(125, 0xff))]],
  ["pongs nobody asked for", [frame("pong"), frame("pong", "x"), message("a")]],
  ["an unfinished message", [frame("text", "half", { fin: false })]],
  ["a longer length than needed: 16 bits", [raw(0x81, [0xfe, 0, 12], json("a"))]],
  ["a longer length than needed: 64 bits", [raw(0x81, [0xff, 0, 0, 0, 0, 0, 0, 0, 12], json("a"))]],
  ["a length of 64 bits", [raw(0x81, header64([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))]],
  ["a length of 54 bits", [raw(0x81, header64([0, 0x20, 0, 0, 0, 0, 0, 0]))]],
  ["a length of 100 MiB and 1", [raw(0x81, header64([0, 0, 0, 0, 0x06, 0x40, 0, 1]))]],
  ...[1, 2, 3, 4, 5, 6, 7].map((bits): [string, Buffer[]] => [
    `reserved bits ${bits}`,
    [message("a"), frame("text", json("b"), { reservedBits: bits })],
  ]),
  ["reserved bits of a ping", [frame("ping", "", { reservedBits: 4 })]],
  ["reserved bits of a close", [frame("close", "", { reservedBits: 2 })]],
  [
    "reserved bits of a continuation",
    [frame("text", front, { fin: false }), frame("continuation", back, { reservedBits: 4 })],
  ],
  ...opcodes.map((opcode): [string, Buffer[]] => [
    `opcode ${opcode}`,
    [message("a"), raw(0x80 | opcode, [0x81], "x"), message("late")],
  ]),
  ...opcodes.map((opcode): [string, Buffer[]] => [`opcode ${opcode} in fragments`, [raw(opcode, [0x80])]]),
  ["an unmasked message", [frame("text", json("a"), { masked: false })]],
  ["an unmasked ping", [frame("ping", "", { masked: false })]],
  ["an unmasked close", [frame("close", "", { masked: false })]],
  [
    "an unmasked continuation",
    [frame("text", front, { fin: false }), frame("continuation", back, { masked: false })],
  ],
  ["an unmasked frame with a length of 64 bits", [Buffer.from([0x81, 0x7f, ...Array<number>(8).fill(0xff)])]],
  ["a continuation of nothing", [frame("continuation", "x")]],
  ["an open continuation of nothing", [frame("continuation", "x", { fin: false })]],
  ["a continuation behind a message", [message("a"), frame("continuation", "x")]],
  ["a text within a message", [frame("text", "x", { fin: false }), message("a")]],
  ["a binary within a message", [frame("text", "x", { fin: false }), frame("binary", "x")]],
  ["a fragmented ping", [frame("ping", "x", { fin: false }), frame("continuation", "y")]],
  ["a fragmented pong", [frame("pong", "x", { fin: false })]],
  ["a fragmented close", [frame("close", "", { fin: false })]],
  ["a ping of 126 bytes", [frame("ping", Buffer.alloc(126))]],
  ["a pong of 126 bytes", [frame("pong", Buffer.alloc(126))]],
  ["a close of 126 bytes", [frame("close", Buffer.alloc(126, 3))]],
  ["a ping with its length in 16 bits", [raw(0x89, [0xfe, 0, 1], "x")]],
  ["a ping with its length in 64 bits", [raw(0x89, [0xff, 0, 0, 0, 0, 0, 0, 0, 1], "x")]],
  ["a close with its length in 16 bits", [raw(0x88, [0xfe, 0, 2], Buffer.from([3, 232]))]],
  ...noText.map((hex): [string, Buffer[]] => [
    `text that is none: ${hex}`,
    [frame("text", Buffer.from(hex, "hex"))],
  ]),
  [
    "text that is none, in fragments",
    [
      frame("text", Buffer.from("e2", "hex"), { fin: false }),
      frame("continuation", Buffer.from("28a1", "hex")),
    ],
  ],
  ["binary that is no text", [frame("binary", Buffer.from('{"type":"\xff"}', "latin1"))]],
  ...closeCodes.map((code): [string, Buffer[]] => [`close code ${code}`, [close(code)]]),
  ...closeCodes.map((code): [string, Buffer[]] => [
    `close code ${code} with a reason`,
    [close(code, "wörld")],
  ]),
  ["a close without a code", [frame("close")]],
  ["a close with half a code", [frame("close", Buffer.from([3]))]],
  ["a close with the longest reason", [close(1000, "r".repeat(123))]],
  ...noText.map((hex): [string, Buffer[]] => [
    `a close with a reason that is no text: ${hex}`,
    [close(1000, Buffer.from(hex, "hex"))],
  ]),
  ["a bad close code with a reason that is no text", [close(1005, Buffer.from("ff", "hex"))]],
  ["a message behind a close", [close(1000), message("late")]],
  ["a close behind a close", [close(1000), close(4000)]],
  ["a violation behind a close", [close(1000), raw(0xff, [0x80])]],
  ["a message behind a violation", [raw(0x83, [0x80]), message("late")]],
  ["a close within a message", [frame("text", "half", { fin: false }), close(1001)]],
];
