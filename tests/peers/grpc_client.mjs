// A gRPC client by grpc-js that does what it is told on standard input; see commands.mjs.
// Usage: node grpc_client.mjs ADDRESS:PORT [AUTHORITY CERTIFICATE]
//
// `{method, service, texts, data, metadata, deadline}` makes a call, which is over with its status;
// `fresh` makes it on a connection of its own. `{open}` begins a call of `Both` under that name,
// `{say, text}` sends on it and gives what comes back, `{end}` ends it and gives its status.
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

async function make(command) {
  const { method = "Unary", texts = [""], data = 0, deadline } = command;
  const from = client(command);
  const limits = { deadline: deadline && Date.now() + deadline };
  const messages = texts.map((text) => ({ text, data: Buffer.alloc(data, "y") }));
  const fields = metadata(command.metadata);
  // A callback has no say in when the status comes: calls with one answer are streams here as well.
  const { path, requestSerialize, responseDeserialize, requestStream } = from[method];
  const call = requestStream
    ? from.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, fields, limits)
    : from.makeServerStreamRequest(path, requestSerialize, responseDeserialize, messages[0], fields, limits);
  const over = finished(call);
  if (requestStream) {
    messages.forEach((message) => call.write(message));
    call.end();
  }
  const said = await over;
  if (command.fresh) from.close();
  return said;
}

function open({ open: name, metadata: object }) {
  const call = client({}).Both(metadata(object));
  streams[name] = { call, over: finished(call) };
  return {};
}

async function say({ say: name, text }) {
  const { call, over } = streams[name];
  const back = new Promise((done) => call.once("data", (message) => done({ text: message.text })));
  call.write({ text });
  return Promise.race([back, over]);
}

function end({ end: name }) {
  streams[name].call.end();
  return streams[name].over;
}

serve((command) => {
  if (command.open) return open(command);
  if (command.say) return say(command);
  return command.end ? end(command) : make(command);
});
