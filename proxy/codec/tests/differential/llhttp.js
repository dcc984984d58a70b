// llhttp as Node's server runs it. On stdin inputs, each behind its length (4 bytes, big endian). For each a
// line on stdout: llhttp's error code or `-`, then of every request read to its end the method, the target and
// the body (the last two in hexadecimal) between colons.
const { HTTPParser, allMethods } = process.binding('http_parser');

function read(input) {
  const seen = [];
  let head = [];
  let body = [];
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 64 * 1024, HTTPParser.kLenientNone);
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, fields, method, target) => {
    head = [allMethods[method], Buffer.from(target, 'latin1').toString('hex')];
    body = [];
    return 0;
  };
  parser[HTTPParser.kOnBody] = (data) => { body.push(Buffer.from(data)); };
  parser[HTTPParser.kOnMessageComplete] = () => {
    seen.push([...head, Buffer.concat(body).toString('hex')].join(':'));
  };
  const result = parser.execute(input);
  parser.close();
  return [result instanceof Error ? result.code : '-', ...seen].join(' ');
}

let pending = Buffer.alloc(0);
process.stdin.on('data', (data) => {
  pending = Buffer.concat([pending, data]);
  while (pending.length >= 4 && pending.length - 4 >= pending.readUInt32BE(0)) {
    const end = 4 + pending.readUInt32BE(0);
    process.stdout.write(read(pending.subarray(4, end)) + '\n');
    pending = pending.subarray(end);
  }
});
