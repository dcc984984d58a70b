// A WebSocket client that does what it is told on standard input; see commands.mjs.
// Usage: node [--experimental-websocket] ws_client.mjs [CERTIFICATE]
//
// `{open, url, by, host}` opens a connection under that name, by package `ws`, by node's own `built-in`
// WebSocket, which is undici's, or by `connect`: an extended CONNECT of HTTP/2 (RFC 8441).
// `{send, text | binary, parts}` sends a message, in so many frames, and gives what comes back;
// `{has}` says whether there is a built-in one, `{take}` gives the next message, `{ping}` what a ping gets, `{close, code, reason}` closes and
// `{closed}` waits: both give the end.
import { createHash } from "node:crypto";
import fs from "node:fs";
import http2 from "node:http2";
import { require } from "./modules.mjs";
import { serve } from "./commands.mjs";

const Ws = require("ws");
const [certificate] = process.argv.slice(2);
const ca = certificate && fs.readFileSync(certificate);
const connections = {};

// What is told of a connection, in order; whoever asks first gets what comes first.
class Connection {
  #told = [];
  #asking = [];

  constructor(socket) {
    this.socket = socket;
    this.end = new Promise((done) => (this.over = done));
  }

  tell(message) {
    const ask = this.#asking.shift();
    if (ask) ask(message);
    else this.#told.push(message);
  }

  take() {
    if (this.#told.length) return this.#told.shift();
    return Promise.race([new Promise((done) => this.#asking.push(done)), this.end]);
  }
}

// Long messages by their digest.
function shown(data, isBinary) {
  const digest = data.length > 200 ? createHash("sha256").update(data).digest("hex") : undefined;
  const content = digest ? { digest } : { [isBinary ? "binary" : "text"]: data.toString(isBinary ? "hex" : "utf8") };
  return { length: data.length, isBinary, ...content };
}

function byWs(socket) {
  const connection = new Connection(socket);
  socket.on("message", (data, isBinary) => connection.tell(shown(data, isBinary)));
  socket.on("pong", (data) => connection.tell({ pong: data.toString() }));
  socket.on("ping", (data) => connection.tell({ ping: data.toString() }));
  socket.on("close", (code, reason) => connection.over({ code, reason: reason.toString() }));
  return connection;
}

function open({ url, host, protocol, deflate = false }) {
  const headers = host && { Host: host };
  const options = { ca, headers, perMessageDeflate: deflate, servername: host, maxPayload: 100_000_000 };
  const socket = new Ws(url, protocol ?? [], options);
  const connection = byWs(socket);
  return new Promise((done) => {
    let upgrade = {};
    socket.on("upgrade", ({ headers }) => (upgrade = headers));
    socket.on("open", () => {
      done([connection, { opened: true, protocol: socket.protocol, extensions: socket.extensions, headers: upgrade }]);
    });
    socket.on("unexpected-response", (_, response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => done([connection, { status: response.statusCode, body: Buffer.concat(chunks).toString() }]));
    });
    socket.on("error", (error) => done([connection, { error: error.message }]));
  });
}

function openBuiltIn({ url, protocol }) {
  const socket = new WebSocket(url, protocol ?? []);
  socket.binaryType = "arraybuffer";
  const connection = new Connection(socket);
  socket.onmessage = ({ data }) => {
    const isBinary = typeof data !== "string";
    connection.tell(shown(Buffer.from(data), isBinary));
  };
  socket.onclose = ({ code, reason }) => connection.over({ code, reason });
  return new Promise((done) => {
    socket.onopen = () => done([connection, { opened: true, protocol: socket.protocol }]);
    socket.onerror = (event) => done([connection, { error: event.message ?? "error" }]);
  });
}

function openConnect({ url, host, protocol, method = "CONNECT", headers = {} }) {
  const { origin, pathname, protocol: scheme } = new URL(url.replace(/^ws/, "http"));
  const session = http2.connect(origin, { ca, servername: host });
  session.on("error", () => {});
  return new Promise((done) => {
    session.once("remoteSettings", ({ enableConnectProtocol }) => {
      const fields = {
        ":method": method,
        ":protocol": "websocket",
        ":scheme": scheme.slice(0, -1),
        ":path": pathname,
        ":authority": host ?? new URL(origin).host,
        "sec-websocket-version": "13",
        ...(protocol && { "sec-websocket-protocol": protocol }),
        ...headers,
      };
      const stream = session.request(fields, { endStream: false });
      stream.on("error", (error) => done([undefined, { error: error.message }]));
      stream.on("response", (answer) => {
        const status = answer[":status"];
        if (status !== 200) {
          const chunks = [];
          stream.on("data", (chunk) => chunks.push(chunk));
          stream.on("end", () => done([undefined, { status, body: Buffer.concat(chunks).toString() }]));
          return;
        }
        // ws speaks over any duplex stream; without an address it takes itself for a server.
        const socket = new Ws(null, undefined, { autoPong: true, closeTimeout: 30_000 });
        socket._isServer = false;
        const connection = byWs(socket);
        socket.setSocket(stream, Buffer.alloc(0), {
          allowSynchronousEvents: true,
          maxPayload: 100_000_000,
          skipUTF8Validation: false,
        });
        const more = { headers: { ...answer }, protocol: answer["sec-websocket-protocol"] };
        done([connection, { opened: true, enableConnectProtocol, status, ...more }]);
      });
    });
  });
}

async function send({ send: name, text, binary, parts = 1 }) {
  const { socket } = connections[name];
  const data = binary === undefined ? Buffer.from(text) : Buffer.from(binary, "hex");
  if (!socket.ping) {
    socket.send(binary === undefined ? text : data);
  } else {
    const size = Math.ceil(data.length / parts);
    for (let at = 0; at < parts; at += 1) {
      const part = data.subarray(at * size, (at + 1) * size);
      socket.send(part, { binary: binary !== undefined, fin: at === parts - 1 });
    }
  }
  return connections[name].take();
}

function sendBig({ big: name, bytes }) {
  connections[name].socket.send(Buffer.alloc(bytes, "z"));
  return connections[name].take();
}

serve(async (command) => {
  if (command.open) {
    const by = { ws: open, "built-in": openBuiltIn, connect: openConnect }[command.by ?? "ws"];
    const [connection, said] = await by(command);
    connections[command.open] = connection;
    return said;
  }
  if (command.has) return { has: typeof WebSocket !== "undefined" };
  if (command.send) return send(command);
  if (command.big) return sendBig(command);
  if (command.take) return connections[command.take].take();
  if (command.closed) return connections[command.closed].end;
  const { ping, close, code, reason } = command;
  if (ping) {
    connections[ping].socket.ping(command.text);
    return connections[ping].take();
  }
  connections[close].socket.close(code, reason);
  return connections[close].end;
});
