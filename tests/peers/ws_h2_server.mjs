// A WebSocket server by ws over HTTP/2 without TLS (RFC 8441): every message comes back as it came.
// Usage: node ws_h2_server.mjs ADDRESS PORT [no]; with `no` it does not offer it.
import http2 from "node:http2";
import { require } from "./modules.mjs";

const Ws = require("ws");
const [address, port, no] = process.argv.slice(2);
const server = http2.createServer({ settings: { enableConnectProtocol: no === undefined } });
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const said = Object.fromEntries(Object.entries(headers));
  console.log(JSON.stringify({ headers: said }));
  if (headers[":protocol"] !== "websocket") {
    stream.respond({ ":status": 501 }, { endStream: true });
    return;
  }
  const protocol = headers["sec-websocket-protocol"];
  stream.respond({ ":status": 200, ...(protocol && { "sec-websocket-protocol": protocol }) });
  // Without an address it is a server.
  const socket = new Ws(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  socket.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true,
    maxPayload: 100_000_000,
    skipUTF8Validation: false,
  });
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("close", (code, reason) => console.log(JSON.stringify({ closed: code, reason: reason.toString() })));
});
server.listen(Number(port), address, () => console.log("ready"));
