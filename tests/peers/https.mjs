// An HTTPS server of HTTP/1.1 and HTTP/2 that answers with its name and the server name asked for.
// Usage: node https.mjs ADDRESS PORT NAME CERTIFICATE KEY
import fs from "node:fs";
import http2 from "node:http2";

const [address, port, name, cert, key] = process.argv.slice(2);
const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key), allowHTTP1: true };
const server = http2.createSecureServer(options, (request, response) => {
  response.end(`${name} ${request.socket.servername} ${request.httpVersion}\n`);
});
server.listen(Number(port), address, () => console.log("ready"));
