// oauth4webapi, as it is: discovery, refresh, a narrowed scope, introspection, revocation, and what goes wrong.

import * as oauth from "oauth4webapi";
import { failure, tell, told } from "./client.mjs";

const insecure = { [oauth.allowInsecureRequests]: true }; // plain HTTP, on loopback
const issuer = new URL(told.issuer);
const discovery = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: "oauth2" });
const server = await oauth.processDiscoveryResponse(issuer, discovery);

const reader = { client_id: "reader" };
const ways = {
  basic: oauth.ClientSecretBasic(told.secrets.reader),
  post: oauth.ClientSecretPost(told.secrets.reader),
};

async function refresh(client, way, refreshToken, parameters = {}) {
  const options = { ...insecure, additionalParameters: parameters };
  const response = await oauth.refreshTokenGrantRequest(server, client, way, refreshToken, options);
  return oauth.processRefreshTokenResponse(server, client, response);
}

async function introspect(token) {
  const client = { client_id: "service" };
  const way = oauth.ClientSecretBasic(told.secrets.service);
  const response = await oauth.introspectionRequest(server, client, way, token, insecure);
  return oauth.processIntrospectionResponse(server, client, response);
}

const first = await refresh(reader, ways.basic, told.reader.refresh_token);
const narrowed = await refresh(reader, ways.post, first.refresh_token, { scope: "read" });
const open = await refresh({ client_id: "app" }, oauth.None(), told.app.refresh_token);
const before = await introspect(narrowed.access_token);
const revoked = await oauth.revocationRequest(server, reader, ways.basic, narrowed.refresh_token, insecure);
await oauth.processRevocationResponse(revoked);
const after = await introspect(narrowed.access_token);

const over = await failure(() => refresh(reader, ways.basic, narrowed.refresh_token));
const tooMuch = await failure(() => refresh({ client_id: "app" }, oauth.None(), open.refresh_token, { scope: "admin" }));
const wrong = await failure(() => refresh(reader, oauth.ClientSecretPost("wrong"), told.reader.refresh_token));
const challenged = await failure(() => refresh(reader, oauth.ClientSecretBasic("wrong"), told.reader.refresh_token));
const curious = await failure(async () => {
  const response = await oauth.introspectionRequest(server, reader, ways.basic, open.access_token, insecure);
  await oauth.processIntrospectionResponse(server, reader, response);
});

tell({
  issuer: server.issuer,
  scopes: [first.scope, narrowed.scope],
  expires_in: first.expires_in,
  access_token: open.access_token,
  before,
  after,
  errors: [over.error, tooMuch.error, wrong.error, curious.error],
  described: [over, tooMuch, wrong, curious].every((error) => Boolean(error.error_description)),
  challenge: challenged.cause[0].scheme,
});
