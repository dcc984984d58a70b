// An HTTP/2 server without TLS that does as it is told and keeps count.
// Usage: node h2pool.mjs ADDRESS PORT OPTIONS, where OPTIONS is JSON:
//   streams   streams that a connection may have at a time
//   goaway    after so many streams a connection says GOAWAY, and finishes what it has
//   grpc      the status of all calls, whatever their path says
//   length    answers say how long they are, those before trailers too
// Lines on standard input: `hold` (answers wait), `release`, `goaway` (all connections, now), and
// `report` (one line of JSON). `/grpc/N` is answered as a gRPC call with that status and nothing
// else, `/grpc-late/N` with a message first.
import http2 from "node:http2";
import readline from "node:readline";

const [address, port, text] = process.argv.slice(2);
const options = JSON.parse(text ?? "{}");
const settings = options.streams ? { maxConcurrentStreams: options.streams } : {};
const sessions = [];
let [held, waiting, requests, opened] = [false, [], 0, 0];

const server = http2.createServer({ settings });
server.on("session", (session) => {
  const state = { session, streams: 0, open: 0, peak: 0, closed: false };
  opened += 1;
  sessions.push(state);
  session.on("close", () => { state.closed = true; });
  session.on("error", () => {});
});

function answer(stream, path) {
  if (stream.destroyed || stream.closed) return;
  const call = path.match(/^\/grpc(-late)?\/(\d+)$/);
  if (!call) {
    stream.respond({ ":status": 200, "x-backend": port });
    return stream.end(`${port}\n`);
  }
  const fields = { ":status": 200, "content-type": "application/grpc" };
  const status = options.grpc ?? call[2];
  if (!call[1]) return stream.respond({ ...fields, "grpc-status": status }, { endStream: true });
  const length = options.length ? { "content-length": 5 } : {};
  stream.respond({ ...fields, ...length }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
  return stream.end(Buffer.from([0, 0, 0, 0, 0]));
}

server.on("stream", (stream, headers) => {
  requests += 1;
  // Its connection may have ended before this came to be told.
  const state = sessions.find((state) => state.session === stream.session);
  if (!state) return;
  state.streams += 1;
  state.open += 1;
  state.peak = Math.max(state.peak, state.open);
  stream.on("error", () => {});
  stream.on("close", () => { state.open -= 1; });
  stream.resume();
  stream.on("end", () => {
    if (held) waiting.push(() => answer(stream, headers[":path"]));
    else answer(stream, headers[":path"]);
  });
  if (options.goaway && state.streams === options.goaway) state.session.close();
});

function report(line) {
  const peaks = sessions.map((state) => state.peak);
  const open = sessions.filter((state) => !state.closed).length;
  console.log(JSON.stringify({ line, requests, opened, open, held: waiting.length, peaks }));
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "hold") held = true;
  if (line === "release") {
    held = false;
    for (const go of waiting.splice(0)) go();
  }
  if (line === "goaway") for (const state of sessions) if (!state.closed) state.session.close();
  // Behind what was to be sent by then, a GOAWAY for instance.
  if (line.startsWith("report")) setImmediate(() => report(line));
});
server.listen(Number(port), address, () => console.log("ready"));
