import { safeCompare } from "../index.js";

test.each([
  ["two empty strings", ""],
  ["ASCII", "secret-token"],
  ["Latin-1", "sécret"],
  ["text beyond the BMP", "🔑 ключ 鍵"],
  ["control characters", "a\u0000b\nc"],
  ["a megabyte", "s".repeat(1024 * 1024)],
])("equal strings compare as true: %s", (_case, text) => {
  // The copy is another string object in memory with the same content.
  const copy = [...text].join("");

  expect(safeCompare(text, copy)).toBe(true);
});

test.each([
  ["one letter", "a", "b"],
  ["case", "Secret", "secret"],
  ["the first character", "Xecret", "secret"],
  ["the last character", "secreX", "secret"],
  ["a prefix", "secret", "secret-token"],
  ["an extension", "secret-token", "secret"],
  ["the empty string and a space", "", " "],
  ["what follows a NUL", "a\u0000b", "a\u0000c"],
  ["a NUL at the end", "a", "a\u0000"],
  ["Unicode forms of the same letter", "\u00e9", "e\u0301"],
  ["Latin-1 letters", "\u00e9", "\u00e8"],
  ["texts of equal length but not equal size in bytes", "aé", "aa"],
  ["letters beyond the BMP", "😀", "😁"],
])("different strings compare as false: %s", (_case, left, right) => {
  expect(safeCompare(left, right)).toBe(false);
  expect(safeCompare(right, left)).toBe(false);
});

test("a difference at the end of a megabyte is seen", () => {
  const text = "s".repeat(1024 * 1024);

  expect(safeCompare(`${text}a`, `${text}b`)).toBe(false);
});

test("what is compared are the bytes of UTF-8, where a lone surrogate is U+FFFD", () => {
  expect(safeCompare("\ud800", "\ufffd")).toBe(true);
  expect(safeCompare("\ud800", "?")).toBe(false);
});
