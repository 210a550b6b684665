// Ends TLS and HTTP/2 before the tests' application, as a proxy does: browsers stream uploads over HTTP/2 alone.
// Arguments: the application's host and port, and the files of the key and of the certificate. Prints its own port.
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createSecureServer } from "node:http2";

const [behind, key, cert] = process.argv.slice(2);
const server = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, (asked, answer) => {
  const headers = { ...asked.headers, host: asked.headers[":authority"], "x-forwarded-proto": "https" };
  for (const name of Object.keys(headers)) if (name.startsWith(":")) delete headers[name];
  const { method, url: path } = asked;
  const [host, port] = behind.split(":");
  const passed = request({ host, port, method, path, headers }, (found) => {
    const { connection, "transfer-encoding": coding, "keep-alive": keep, ...rest } = found.headers;
    answer.writeHead(found.statusCode, rest);
    found.pipe(answer);
  });
  passed.on("error", () => answer.stream.close());
  asked.pipe(passed);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
