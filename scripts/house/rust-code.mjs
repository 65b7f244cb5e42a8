/**
 * Rust source with its comments and the insides of its literals blanked out, line breaks kept:
 * what is found in it is code, and it is found on the right line.
 */
export function codeOf(source) {
  let code = "";
  let at = 0;
  while (at < source.length) {
    const rest = source.slice(at, at + 400);
    const end = endOfSilence(source, at, rest);
    if (end === undefined) {
      // A whole word at once, so that the `r` of `for "x"` is not taken for the start of a raw string.
      const word = /^\w+/.exec(rest)?.[0] ?? source[at];
      code += word;
      at += word.length;
    } else {
      code += blank(source.slice(at, end));
      at = end;
    }
  }
  return code;
}

function blank(text) {
  return text.replaceAll(/[^\n]/g, " ");
}

/** Where the comment or literal that starts here ends; nothing when what starts here is code. */
function endOfSilence(source, at, rest) {
  if (rest.startsWith("//")) return orEnd(source.indexOf("\n", at), source);
  if (rest.startsWith("/*")) return endOfBlockComment(source, at);
  const raw = /^b?c?r(#*)"/.exec(rest);
  if (raw) return orEnd(source.indexOf(`"${raw[1]}`, at + raw[0].length), source, 1 + raw[1].length);
  const string = /^[bc]?"/.exec(rest);
  if (string) return endOfString(source, at + string[0].length);
  // 'a' and '\n' are characters, 'a alone is a lifetime.
  const character = /^b?'(?:\\u\{[^}]*\}|\\.[^']*|[^'\\])'/u.exec(rest);
  return character ? at + character[0].length : undefined;
}

function orEnd(index, source, length = 0) {
  return index === -1 ? source.length : index + length;
}

function endOfString(source, start) {
  for (let at = start; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === '"') return at + 1;
  }
  return source.length;
}

/** Block comments nest in Rust. */
function endOfBlockComment(source, start) {
  let depth = 0;
  for (const { 0: mark, index } of source.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark === "/*" ? 1 : -1;
    if (depth === 0) return start + index + mark.length;
  }
  return source.length;
}
