// oidc-provider in memory, with rotation of refresh tokens, and without ID tokens: those would cost an RS256 signature each.
// /seed stands for the authorization code flow, which needs a browser.
import http from "node:http";
import Provider from "oidc-provider";

const client = {
  client_id: "app",
  token_endpoint_auth_method: "none",
  grant_types: ["authorization_code", "refresh_token"],
  redirect_uris: ["https://app.example/callback"],
};
const provider = new Provider(`http://127.0.0.1:${process.env.PORT}`, {
  clients: [client],
  rotateRefreshToken: true,
  ttl: { AccessToken: 900, RefreshToken: 86400, Grant: 86400, IdToken: 900, Session: 86400, Interaction: 900 },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  pkce: { required: () => false },
});
const answer = provider.callback();

http
  .createServer(async (request, response) => {
    if (request.url !== "/seed") return answer(request, response);
    const grant = new provider.Grant({ accountId: "1", clientId: "app" });
    grant.addOIDCScope("offline_access");
    const token = new provider.RefreshToken({
      accountId: "1",
      client: await provider.Client.find("app"),
      grantId: await grant.save(),
      gty: "authorization_code",
      scope: "offline_access",
      authTime: Math.floor(Date.now() / 1000),
      iiat: Math.floor(Date.now() / 1000),
      rotations: 0,
    });
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ refresh: await token.save() }));
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
