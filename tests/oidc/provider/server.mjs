// oidc-provider in memory, with one client. Anyone who gives a name at its login page is logged in; it asks for no consent.
import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import Provider from "oidc-provider";

const { port, client, users } = JSON.parse(process.argv[2]);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [client],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "first", use: "sig", alg: "RS256" }] },
  cookies: { keys: ["a key of this test"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
  fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own refuses loopback
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...users[sub] }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});
provider.on("server_error", (_, error) => console.error(error));
provider.on("backchannel.error", (_, error) => console.error(error));
const answer = provider.callback();

http
  .createServer(async (request, response) => {
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    if (request.method === "GET") {
      response.setHeader("content-type", "text/html");
      return response.end('<title>Provider</title><form method="post"><input name="name"><button>Log in</button></form>');
    }
    let body = "";
    for await (const chunk of request) body += chunk;
    const name = new URLSearchParams(body).get("name");
    const result = name ? { login: { accountId: name } } : { error: "access_denied", error_description: "No <b>thanks</b>" };
    await provider.interactionFinished(request, response, result);
  })
  .listen(port, "127.0.0.1", () => console.log("ready"));
