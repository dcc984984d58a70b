// A gRPC server by grpc-js that says what it is called with, a JSON object a line.
// Usage: node grpc_server.mjs ADDRESS PORT NAME [CERTIFICATE KEY]
//
// Whatever the kind of call, each message is answered with NAME and its text, but for:
// `fail N` ends the call with status N, `hang` gives no sign of life, `big N` answers with N bytes,
// `repeat N` is answered N times in a stream. Metadata `echo` and `echo-bin` come back, first and last.
import fs from "node:fs";
import { Echo, Other, grpc, plain } from "./echo.mjs";

const [address, port, name, cert, key] = process.argv.slice(2);

function begin(call, path) {
  console.log(JSON.stringify({ path, name, peer: call.getPeer(), host: call.getHost(), text: call.request?.text, metadata: plain(call.metadata) }));
  const first = new grpc.Metadata();
  first.set("server", name);
  for (const field of ["echo", "echo-bin"]) {
    call.metadata.get(field).forEach((value) => first.add(field, value));
  }
  if (call.request?.text !== "hang") call.sendMetadata(first);
  call.on("cancelled", () => console.log(JSON.stringify({ cancelled: path, text: call.request?.text })));
}

function last(call) {
  const fields = new grpc.Metadata();
  fields.set("end", name);
  call.metadata.get("echo-bin").forEach((value) => fields.add("end-bin", value));
  return fields;
}

// What a message asks for: the answers, or the error.
function answers({ text, data }) {
  const [word, count] = [text.split(" ")[0], Number(text.split(" ")[1])];
  switch (word) {
    case "fail":
      return { code: count, details: "as asked: 100 % ü" };
    case "hang":
      return [];
    case "big":
      return [{ text: name, data: Buffer.alloc(count, "x") }];
    case "repeat":
      return Array.from({ length: count }, (_, at) => ({ text: `${name} ${at}` }));
    default:
      return [{ text: `${name} ${text}`, data }];
  }
}

function unary(path) {
  return (call, done) => {
    begin(call, path);
    const said = answers(call.request);
    if (said.code) done({ ...said, metadata: last(call) });
    else if (said.length) done(null, said[0], last(call));
  };
}

function gather(call, done) {
  begin(call, "Client");
  const texts = [];
  let bytes = 0;
  call.on("data", ({ text, data }) => {
    texts.push(text);
    bytes += data.length;
  });
  call.on("end", () => done(null, { text: `${name} ${texts.join("+")} ${bytes}` }, last(call)));
}

function each(call, said) {
  if (said.code) call.emit("error", { ...said, metadata: last(call) });
  else said.forEach((message) => call.write(message));
}

function repeat(call) {
  begin(call, "Server");
  const said = answers(call.request);
  each(call, said);
  if (!said.code && said.length) call.end(last(call));
}

function both(call) {
  begin(call, "Both");
  call.on("data", (message) => each(call, answers(message)));
  call.on("end", () => call.end(last(call)));
}

const server = new grpc.Server({ "grpc.max_receive_message_length": 20_000_000 });
server.addService(Echo.service, { Unary: unary("Unary"), Client: gather, Server: repeat, Both: both });
server.addService(Other.service, { Unary: unary("Other") });
const pair = () => [{ cert_chain: fs.readFileSync(cert), private_key: fs.readFileSync(key) }];
const credentials = cert
  ? grpc.ServerCredentials.createSsl(null, pair())
  : grpc.ServerCredentials.createInsecure();
server.bindAsync(`${address}:${port}`, credentials, (error) => console.log(error ? String(error) : "ready"));
