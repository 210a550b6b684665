// openid-client, as it is, with DPoP: refresh with a proof and a nonce, a resource, and what a copied token gets.

import * as oidc from "openid-client";
import { failure, tell, told } from "./client.mjs";

const insecure = { algorithm: "oauth2", execute: [oidc.allowInsecureRequests] }; // plain HTTP, on loopback
const config = await oidc.discovery(new URL(told.issuer), "app", undefined, oidc.None(), insecure);
const keys = await oidc.randomDPoPKeyPair("ES256");
const jwk = await crypto.subtle.exportKey("jwk", keys.publicKey);
const begun = await fetch(`${told.issuer}/begin?client_id=app&scope=read`, { method: "POST", body: JSON.stringify(jwk) });
const tokens = await begun.json();

let nonces = 0;
config[oidc.customFetch] = async (...request) => {
  const response = await fetch(...request);
  nonces += response.headers.has("dpop-nonce");
  return response;
};

const DPoP = oidc.getDPoPHandle(config, keys);
const refresh = (handle, token) => oidc.refreshTokenGrant(config, token, undefined, { DPoP: handle });
const answer = await refresh(DPoP, tokens.refresh_token);
const profile = new URL("/profile", told.issuer);
const open = (handle) =>
  oidc.fetchProtectedResource(config, answer.access_token, profile, "GET", null, undefined, { DPoP: handle });
const opened = await open(DPoP);
const counted = nonces;
const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair("ES256"));
const withoutKey = await failure(() => refresh(undefined, answer.refresh_token));
const otherKey = await failure(() => refresh(thief, answer.refresh_token));
const stolen = await failure(() => open(thief));
const downgraded = await failure(() => open(undefined));

tell({
  algorithms: config.serverMetadata().dpop_signing_alg_values_supported,
  token_type: answer.token_type,
  opened: opened.status,
  nonces: counted,
  errors: [withoutKey.error, otherKey.error],
  challenges: [stolen, downgraded].map((error) => [error.cause[0].scheme, error.cause[0].parameters.error]),
});
