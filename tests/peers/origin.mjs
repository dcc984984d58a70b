// An HTTPS server of HTTP/1.1 that answers with its name, the server name asked for and who the
// client is by its certificate, and says what it sees: "request PATH", "failed".
// `/cut` is answered by a part of a body, without an end of TLS.
// Usage: node origin.mjs ADDRESS PORT NAME CERTIFICATE KEY [AUTHORITY-OF-CLIENTS]
import fs from "node:fs";
import https from "node:https";

const [address, port, name, cert, key, ca] = process.argv.slice(2);
const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
if (ca) {
  Object.assign(options, { ca: fs.readFileSync(ca), requestCert: true, rejectUnauthorized: true });
}
const server = https.createServer(options, (request, response) => {
  console.log(`request ${request.url}`);
  if (request.url === "/cut") {
    response.writeHead(200, { connection: "close" });
    // The bare socket below TLS is closed: no close_notify.
    response.write("part", () => request.socket._parent?.destroy() ?? request.socket._handle.close());
    return;
  }
  const client = request.socket.getPeerCertificate()?.subject?.CN ?? "nobody";
  response.end(`${name} ${request.socket.servername} ${client}\n`);
});
server.on("tlsClientError", () => console.log("failed"));
server.listen(Number(port), address, () => console.log("ready"));
