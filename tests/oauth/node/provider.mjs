// oidc-provider, as it is, with DPoP: every proof needs its nonce, refresh tokens rotate, and the user says yes at once.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

let answer;
const server = createServer((request, response) => answer(request, response));
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "shell",
      application_type: "native",
      token_endpoint_auth_method: "none",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: ["authorization_code", "refresh_token"],
      dpop_bound_access_tokens: true,
    },
    {
      client_id: "service",
      client_secret: "a secret of the tests, for nobody else",
      redirect_uris: [],
      response_types: [],
      grant_types: ["client_credentials"],
      dpop_bound_access_tokens: true,
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    revocation: { enabled: true },
  },
  cookies: { keys: ["nobody's"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  issueRefreshToken: () => true,
  async loadExistingGrant(context) {
    const { client, session } = context.oidc;
    const grant = new context.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid offline_access");
    await grant.save();
    return grant;
  },
  rotateRefreshToken: true,
});
provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  context.respond = false;
  await provider.interactionFinished(context.req, context.res, { login: { accountId: "ada" }, consent: {} });
});
answer = provider.callback();
process.stdout.write(`${issuer}\n`);
process.stdin.resume().on("end", () => process.exit());
