/** Logged when a web page asks for a WebSocket and its origin is not accepted. */
export const ORIGIN_REFUSED = "WebSocket upgrade rejected: origin not allowed";

/** Which web pages may connect; `"*"`: all. */
export type AllowedOrigins = ReadonlySet<string> | "*";

/** Whether a request comes from an accepted page, or from a program, which names no origin. */
export function isOriginAllowed(allowed: AllowedOrigins | undefined, origin: string | undefined): boolean {
  return (
    allowed === undefined || allowed === "*" || origin === undefined || allowed.has(origin.toLowerCase())
  );
}

/** An origin as browsers write it, in lower case; `undefined` if the text is none. */
export function normalizedOrigin(text: string): string | undefined {
  if (text === "null") return text;
  // URL leaves the origins of schemes that it does not know (extensions, webviews) as "null".
  if (/^(?!https?:)[a-z][a-z\d+.-]*:\/\/[^\s/?#@]+$/i.test(text)) return text.toLowerCase();
  if (!/^https?:\/\/[^\s/?#@\\]+\/?$/i.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text).origin;
}
