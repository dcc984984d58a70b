// A gRPC client by grpc-js that does what it is told on standard input; see commands.mjs.
// Usage: node grpc_client.mjs ADDRESS:PORT [AUTHORITY CERTIFICATE]
//
// `{method, service, texts, data, metadata, deadline}` makes a call, which is over with its status;
// `fresh` makes it on a connection of its own. `{open}` begins one, of `Both` if nothing is said, under that name,
// `{hear}` waits for what comes first on it, `{say, text}` sends on it and gives what comes back,
// `{end}` ends it and gives its status.
import fs from "node:fs";
import { Echo, Other, grpc, metadata, plain } from "./echo.mjs";
import { serve } from "./commands.mjs";

const [target, authority, certificate] = process.argv.slice(2);
const credentials = certificate
  ? grpc.credentials.createSsl(fs.readFileSync(certificate))
  : grpc.credentials.createInsecure();
const options = {
  "grpc.max_receive_message_length": 20_000_000,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
  ...(authority && { "grpc.default_authority": authority, "grpc.ssl_target_name_override": authority }),
};
const connect = (Service) => new Service(target, credentials, options);
let clients = {};
const streams = {};

function client({ service = "Echo", fresh }) {
  const Service = { Echo, Other }[service];
  if (fresh) return connect(Service);
  clients[service] ??= connect(Service);
  return clients[service];
}

// Takes everything of a call until it is over.
function finished(call) {
  const said = { texts: [], bytes: 0 };
  return new Promise((done) => {
    call.on("metadata", (fields) => (said.first = plain(fields)));
    call.on("data", ({ text, data }) => {
      said.texts.push(text);
      said.bytes += data.length;
    });
    call.on("error", () => {});
    call.on("status", ({ code, details, metadata: fields }) => {
      done({ ...said, code: grpc.status[code], details, last: plain(fields) });
    });
  });
}

function begin(from, { method = "Unary", texts = [""], data = 0, deadline, metadata: object }) {
  const limits = { deadline: deadline && Date.now() + deadline };
  const messages = texts.map((text) => ({ text, data: Buffer.alloc(data, "y") }));
  // A callback has no say in when the status comes: calls with one answer are streams here as well.
  const { path, requestSerialize, responseDeserialize, requestStream } = from[method];
  if (!requestStream) {
    return from.makeServerStreamRequest(path, requestSerialize, responseDeserialize, messages[0], metadata(object), limits);
  }
  const call = from.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata(object), limits);
  messages.forEach((message) => call.write(message));
  return call;
}

async function make(command) {
  const from = client(command);
  const call = begin(from, command);
  const over = finished(call);
  call.end?.();
  const said = await over;
  if (command.fresh) from.close();
  return said;
}

function open(command) {
  const call = begin(client(command), { method: "Both", texts: [], ...command });
  const first = new Promise((done) => call.once("data", ({ text }) => done({ text })));
  streams[command.open] = { call, first, over: finished(call) };
  return {};
}

function hear({ hear: name }) {
  const { first, over } = streams[name];
  return Promise.race([first, over]);
}

async function say({ say: name, text }) {
  const { call, over } = streams[name];
  const back = new Promise((done) => call.once("data", (message) => done({ text: message.text })));
  call.write({ text });
  return Promise.race([back, over]);
}

function end({ end: name }) {
  streams[name].call.end?.();
  return streams[name].over;
}

serve((command) => {
  if (command.open) return open(command);
  if (command.hear) return hear(command);
  if (command.say) return say(command);
  return command.end ? end(command) : make(command);
});
