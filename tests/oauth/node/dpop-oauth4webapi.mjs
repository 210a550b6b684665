// oauth4webapi, as it is, with DPoP: refresh with a proof and a nonce, a resource, and what a copied token gets.

import * as oauth from "oauth4webapi";
import { failure, tell, told } from "./client.mjs";

const insecure = { [oauth.allowInsecureRequests]: true }; // plain HTTP, on loopback
const discovery = await oauth.discoveryRequest(new URL(told.issuer), { ...insecure, algorithm: "oauth2" });
const server = await oauth.processDiscoveryResponse(new URL(told.issuer), discovery);
const client = { client_id: "app" };
const keys = await oauth.generateKeyPair("ES256");
const jwk = await crypto.subtle.exportKey("jwk", keys.publicKey);
const begun = await fetch(`${told.issuer}/begin?client_id=app&scope=read`, { method: "POST", body: JSON.stringify(jwk) });
const tokens = await begun.json();

async function refresh(DPoP, refreshToken) {
  const options = { ...insecure, DPoP };
  const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, options);
  return oauth.processRefreshTokenResponse(server, client, response);
}

let nonces = 0;

async function again(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    nonces += 1;
    return attempt();
  }
}

const DPoP = oauth.DPoP(client, keys);
const answer = await again(() => refresh(DPoP, tokens.refresh_token));
const profile = new URL("/profile", told.issuer);
const open = (handle) =>
  oauth.protectedResourceRequest(answer.access_token, "GET", profile, undefined, null, { ...insecure, DPoP: handle });
const opened = await again(() => open(DPoP));
const thief = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
const withoutKey = await failure(() => refresh(undefined, answer.refresh_token));
const otherKey = await failure(() => again(() => refresh(thief, answer.refresh_token)));
const stolen = await failure(() => again(() => open(thief)));
const downgraded = await failure(() => open(undefined));

tell({
  algorithms: server.dpop_signing_alg_values_supported,
  token_type: answer.token_type,
  opened: opened.status,
  nonces,
  errors: [withoutKey.error, otherKey.error],
  challenges: [stolen, downgraded].map((error) => [error.cause[0].scheme, error.cause[0].parameters.error]),
});
