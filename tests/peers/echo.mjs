// echo.proto as grpc-js has it.
import { fileURLToPath } from "node:url";
import { require } from "./modules.mjs";

export const grpc = require("@grpc/grpc-js");
const file = fileURLToPath(new URL("echo.proto", import.meta.url));
export const { Echo, Other } = grpc.loadPackageDefinition(require("@grpc/proto-loader").loadSync(file, { defaults: true })).test.v1;

// Metadata as an object of texts; what `-bin` names is in base64.
export function metadata(object = {}) {
  const fields = new grpc.Metadata();
  for (const [name, value] of Object.entries(object)) {
    fields.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return fields;
}

export function plain(fields) {
  const text = (value) => (Buffer.isBuffer(value) ? value.toString("base64") : value);
  const names = Object.keys(fields?.getMap() ?? {});
  return Object.fromEntries(names.map((name) => [name, fields.get(name).map(text).join(",")]));
}
