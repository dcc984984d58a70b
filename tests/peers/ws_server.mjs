// A WebSocket server by ws that says what it sees, a JSON object a line.
// Usage: node ws_server.mjs ADDRESS PORT NAME
//
// Every message comes back as it came. On `/hello` the server speaks first, on `/bye` it closes with
// 4001, on `/ping` it sends a ping, on `/deflate` messages are compressed. A CONNECT, to wherever, gets a
// tunnel to this server itself.
import http from "node:http";
import { require } from "./modules.mjs";

const { WebSocketServer } = require("ws");
const [address, port, name] = process.argv.slice(2);
const options = { noServer: true, maxPayload: 100_000_000 };
const plain = new WebSocketServer(options);
const deflating = new WebSocketServer({ ...options, perMessageDeflate: { threshold: 0 } });
const say = (what) => console.log(JSON.stringify(what));

const server = http.createServer((request, response) => {
  say({ plain: request.url });
  response.end(`${name}\n`);
});
server.on("upgrade", (request, socket, head) => {
  const { url, headers } = request;
  say({ url, headers });
  const by = url === "/deflate" ? deflating : plain;
  by.handleUpgrade(request, socket, head, (ws) => {
    if (url === "/hello") ws.send(`${name} speaks first`);
    if (url === "/bye") ws.close(4001, "as asked");
    if (url === "/ping") ws.ping("are you there");
    ws.on("pong", (data) => say({ pong: data.toString() }));
    ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
    ws.on("error", (error) => say({ error: error.message }));
    ws.on("close", (code, reason) => say({ closed: code, reason: reason.toString() }));
  });
});
server.on("connect", (request, socket, head) => {
  say({ connect: request.url });
  socket.write("HTTP/1.1 200 OK\r\n\r\n");
  socket.unshift(head);
  server.emit("connection", socket);
});
server.listen(Number(port), address, () => console.log("ready"));
