// openid-client, as it is: discovery, refresh, a narrowed scope, introspection, revocation, and what goes wrong.

import * as client from "openid-client";
import { failure, tell, told } from "./client.mjs";

async function discover(clientId, way) {
  const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] }; // plain HTTP, on loopback
  return client.discovery(new URL(told.issuer), clientId, undefined, way, options);
}

const basic = await discover("reader", client.ClientSecretBasic(told.secrets.reader));
const post = await discover("reader", client.ClientSecretPost(told.secrets.reader));
const app = await discover("app", client.None());
const service = await discover("service", client.ClientSecretBasic(told.secrets.service));
const stranger = await discover("reader", client.ClientSecretPost("wrong"));
const guesser = await discover("reader", client.ClientSecretBasic("wrong"));

const first = await client.refreshTokenGrant(basic, told.reader.refresh_token);
const narrowed = await client.refreshTokenGrant(post, first.refresh_token, { scope: "read" });
const open = await client.refreshTokenGrant(app, told.app.refresh_token);
const before = await client.tokenIntrospection(service, narrowed.access_token);
await client.tokenRevocation(basic, narrowed.refresh_token);
const after = await client.tokenIntrospection(service, narrowed.access_token);

const over = await failure(() => client.refreshTokenGrant(basic, narrowed.refresh_token));
const tooMuch = await failure(() => client.refreshTokenGrant(app, open.refresh_token, { scope: "admin" }));
const wrong = await failure(() => client.refreshTokenGrant(stranger, told.reader.refresh_token));
const challenged = await failure(() => client.refreshTokenGrant(guesser, told.reader.refresh_token));
const curious = await failure(() => client.tokenIntrospection(basic, open.access_token));

tell({
  issuer: basic.serverMetadata().issuer,
  scopes: [first.scope, narrowed.scope],
  expires_in: first.expires_in,
  access_token: open.access_token,
  before,
  after,
  errors: [over.error, tooMuch.error, wrong.error, curious.error],
  described: [over, tooMuch, wrong, curious].every((error) => Boolean(error.error_description)),
  challenge: challenged.cause[0].scheme,
});
