// An HTTP/2 server without TLS: answers with its name and says what it saw.
// Usage: node h2c.mjs ADDRESS PORT NAME
import http2 from "node:http2";

const [address, port, name] = process.argv.slice(2);
let connections = 0;
const server = http2.createServer({ settings: { enableConnectProtocol: true } });
server.on("session", () => {
  connections += 1;
  console.log(`connection ${connections}`);
});
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const path = headers[":path"];
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => {
    const body = Buffer.concat(chunks);
    console.log(JSON.stringify({ headers, body: body.length }));
    const fields = { ":status": 200, "x-backend": name, "x-authority": headers[":authority"] ?? "" };
    if (path === "/trailers") {
      stream.respond(fields, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }));
    } else {
      stream.respond(fields);
    }
    stream.end(path === "/echo" ? body : path === "/big" ? Buffer.alloc(3_000_000, "x") : `${name}\n`);
  });
});
server.listen(Number(port), address, () => console.log("ready"));
