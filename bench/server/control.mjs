import http from "node:http";

/**
 * Serves the control port: `routes` maps a path to a function of the query's fields. What it returns (or resolves to)
 * goes out as JSON.
 */
export async function listenForControl(port, routes) {
  const server = http.createServer(async (req, res) => {
    const url = new URL(req.url, "http://control");
    const body = JSON.stringify(await answer(routes[url.pathname], Object.fromEntries(url.searchParams)));
    res.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    res.end(body);
  });
  // The generator keeps its connection, however long a measurement takes.
  server.keepAliveTimeout = 0;
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

async function answer(route, query) {
  if (route === undefined) return { error: "no such path" };
  try {
    const value = await route(query);
    // Timers and the like are not for the wire.
    return value?.constructor === Object ? value : {};
  } catch (error) {
    return { error: error.stack };
  }
}
