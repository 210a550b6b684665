// A service in Node whose requests need an access token: node service.mjs OPTIONS
import { createServer } from "node:http";
import { createVerifier, refusal } from "../../js/dist/verify.js";

const states = [];
const { required, ...options } = JSON.parse(process.argv[2]);
const verifier = createVerifier({ ...options, onState: (state, reason) => states.push([state, reason]) });

const server = createServer(async (request, response) => {
  const json = (status, headers, body) => response.writeHead(status, { ...headers, "content-type": "application/json" }).end(JSON.stringify(body));
  if (request.url === "/state") return json(200, {}, { state: verifier.state, states });
  const began = performance.now();
  if (request.url === "/open") {
    // a connection that stays open until its session ends
    const text = request.headers.authorization.slice(7);
    const watch = await verifier.watch(text, ({ code }) => json(200, {}, { code, open: performance.now() - began }));
    response.on("close", watch.stop);
    return;
  }
  try {
    const token = await verifier.authenticate(request.headers, request.url === "/guarded" ? required : undefined);
    json(200, {}, { ...token, took: performance.now() - began });
  } catch (error) {
    const { status, headers, body } = refusal(error);
    json(status, headers, { ...body, code: error.code });
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume(); // ends with the test
