/** Asks the handlers in order until one has answered. */
export async function answerRequest(handlers, req, res) {
  for (const handler of handlers) {
    try {
      if (await handler(req, res)) return;
    } catch (error) {
      console.error("error in an HTTP handler:", error);
    }
  }
  res.writeHead(404, { "Content-Type": "application/json" });
  res.end(JSON.stringify({ error: "Not found" }));
}
