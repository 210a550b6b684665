// src/verify.ts
import { compactVerify, decodeProtectedHeader } from "jose";

// src/json.ts
function readObject(text2) {
  try {
    const value = JSON.parse(text2.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

// src/options.ts
function refuseUnknown(unknown) {
  for (const name in unknown) throw new TypeError(`unknown option '${name}'`);
}

// src/event_fields.ts
function readEvents(take) {
  let rest2 = "";
  let type = "";
  let data = [];
  let id;
  const read2 = (line) => {
    if (line) {
      const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (name === "data") data.push(value);
      else if (name === "event") type = value;
      else if (name === "id" && !value.includes("\0")) id = value;
      else if (name === "retry" && /^\d+$/.test(value)) take.retry?.(+value);
      return;
    }
    const event = { type: type || "message", data: data.join("\n") };
    const some = data.length;
    if (id !== void 0) take.id?.(id);
    [type, data, id] = ["", [], void 0];
    if (some) take.event(event);
  };
  return (text2) => {
    const lines = (rest2 + text2).split(/\r\n|\n|\r(?!$)/);
    rest2 = lines.pop();
    for (const line of lines) read2(line);
  };
}

// src/verify_errors.ts
var Failure = class extends Error {
};
var TokenMissing = class extends Failure {
  name = "TokenMissing";
  code = "token_missing";
  status = 401;
};
var TokenMalformed = class extends Failure {
  name = "TokenMalformed";
  code = "token_malformed";
  status = 401;
};
var TokenExpired = class extends Failure {
  name = "TokenExpired";
  code = "token_expired";
  status = 401;
};
var SessionRevoked = class extends Failure {
  name = "SessionRevoked";
  code = "session_revoked";
  status = 401;
};
var AuthenticationInsufficient = class extends Failure {
  name = "AuthenticationInsufficient";
  code = "insufficient_user_authentication";
  status = 401;
  /** Seconds. */
  maxAge;
  acr;
  constructor(maxAge, acr) {
    super(acr === void 0 ? "a more recent authentication is required" : "a different authentication level is required");
    this.maxAge = maxAge;
    this.acr = acr;
  }
};
var ScopeInsufficient = class extends Failure {
  name = "ScopeInsufficient";
  code = "insufficient_scope";
  status = 403;
  /** The required scope. */
  scope;
  constructor(scope) {
    super("the access token's scope does not allow this");
    this.scope = scope;
  }
};
var KeysUnavailable = class extends Failure {
  name = "KeysUnavailable";
  code = "temporarily_unavailable";
  status = 503;
};
var IssuerUnusable = class extends Failure {
  name = "IssuerUnusable";
  code = "issuer_unusable";
  status = 503;
};
var REALM = 'Bearer realm="daypass"';
function refusal(error) {
  if (!(error instanceof Failure)) throw error;
  const failure = error;
  const { status, message } = failure;
  const answer = (error2, message2, headers) => ({
    status,
    headers: { "cache-control": "no-store", ...headers },
    body: { error: error2, message: message2 }
  });
  if (status === 503) return answer("temporarily_unavailable", "Try again in a moment", { "retry-after": "1" });
  if (failure instanceof ScopeInsufficient) {
    return answer(failure.code, message, { "www-authenticate": `${REALM}, error="${failure.code}", scope="${failure.scope}"` });
  }
  if (failure instanceof AuthenticationInsufficient) {
    const { code, maxAge, acr } = failure;
    const needed = (maxAge === void 0 ? "" : `, max_age="${maxAge}"`) + (acr === void 0 ? "" : `, acr_values="${acr}"`);
    return answer(code, message, { "www-authenticate": `${REALM}, error="${code}", error_description="${message}"${needed}` });
  }
  const why = failure instanceof TokenMissing ? "" : `, error="invalid_token", error_description="${message}"`;
  return answer("invalid_token", "Authentication failed", { "www-authenticate": `${REALM}${why}` });
}
function refusalResponse(error) {
  const { status, headers, body } = refusal(error);
  return Response.json(body, { status, headers });
}

// src/verify_endings.ts
var EVENT_TYPE = "secevent+jwt";
var SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
var ALL_REVOKED = "urn:daypass:event:all-sessions-revoked";
var ANSWERED_WITHIN = 3e4;
var PAUSES = [200, 500, 1e3, 2e3, 5e3];
var REFUSED_PAUSE = 3e4;
var LONGEST_RETRY = 6e4;
var WHY = {
  401: "check clientId and clientSecret",
  403: "register the client as one that may introspect",
  404: "give the issuer's application its clients, or say where its session endpoints are: endings.url"
};
async function followEndings(get, { url, clientId, clientSecret }, learn, become, signal) {
  const authorization = `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}`;
  let cursor;
  let failures = 0;
  const ask = async () => {
    const headers = { accept: "text/event-stream", authorization, ...cursor !== void 0 && { "last-event-id": cursor } };
    const { status, body } = await get(url, { within: ANSWERED_WITHIN, headers, signal });
    if (status !== 200) {
      const reason = `${url} answered with ${status}${WHY[status] ? `: ${WHY[status]}` : ""}`;
      become("cut_off", reason);
      return WHY[status] ? REFUSED_PAUSE : pause();
    }
    const events = [];
    let [last, retry] = [cursor, 0];
    readEvents({ event: ({ data }) => events.push(data), id: (id) => last = id, retry: (wait) => retry = wait })(body);
    for (const event of events) {
      await learn(event).catch((error) => {
        if (!(error instanceof TokenMalformed)) throw error;
      });
    }
    [cursor, failures] = [last, 0];
    become(retry ? "polling" : "listening");
    return Math.min(retry, LONGEST_RETRY);
  };
  const pause = () => PAUSES[Math.min(failures++, PAUSES.length - 1)];
  while (!signal.aborted) {
    const wait = await ask().catch((error) => {
      if (!signal.aborted) become("cut_off", error.message);
      return pause();
    });
    if (wait) await rest(wait, signal);
  }
}
function readEnding(claims, issuer, clientId) {
  if (claims.iss !== issuer || claims.aud !== clientId) throw new TokenMalformed("an event of another issuer or for another service");
  const { [ALL_REVOKED]: all, [SESSION_REVOKED]: one } = claims.events ?? {};
  const sessionId = claims.sub_id?.session?.id;
  const seconds = (value) => {
    if (!Number.isSafeInteger(value)) throw new TokenMalformed("an event without a required time");
    return value * 1e3;
  };
  if (all) return { endedAt: seconds(all.event_timestamp), until: 0 };
  if (!one) return void 0;
  if (typeof sessionId !== "string") throw new TokenMalformed("an event without a session");
  return { sessionId, endedAt: seconds(one.event_timestamp), until: seconds(one.access_tokens_expire_at) };
}
var encode = (text2) => encodeURIComponent(text2).replace(/%20/g, "+");
function rest(milliseconds, signal) {
  return new Promise((go) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      go();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}

// src/verify_http.ts
var WITHIN = 5e3;
var MAXIMUM = 262144;
function createGet(send) {
  return async (url, { within: within2 = WITHIN, headers = {}, signal } = {}) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), within2);
    const stop = () => late.abort();
    signal?.addEventListener("abort", stop);
    try {
      const answer = await send(url, { headers: { accept: "application/json", ...headers }, redirect: "manual", signal: late.signal });
      return { status: answer.status, headers: answer.headers, body: await read(answer, url) };
    } catch (error) {
      if (error instanceof KeysUnavailable) throw error;
      throw new KeysUnavailable(`${url} gave no answer${late.signal.aborted ? ` in ${within2 / 1e3} seconds` : `: ${error.name}`}`);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  };
}
async function read({ body }, url) {
  const decoder = new TextDecoder();
  let text2 = "";
  let size = 0;
  const reader = body?.getReader();
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader.read()) {
    size += piece.value.length;
    if (size > MAXIMUM) {
      void reader.cancel();
      throw new KeysUnavailable(`${url} answered with more than ${MAXIMUM} bytes`);
    }
    text2 += decoder.decode(piece.value, { stream: true });
  }
  return text2;
}

// src/verify_keys.ts
import { importJWK } from "jose";

// src/clock.ts
var sleep = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

// src/verify_keys.ts
var APART = 3e3;
var APART_FOR_UNKNOWN = 1e3;
var KEPT = 864e5;
var PATIENCE = 4 * WITHIN + 2e3;
var PATIENCE_FOR_OLD = 1e3;
var [FRESH_AT_LEAST, FRESH, FRESH_AT_MOST] = [6e4, 3e5, 6e5];
var MOST = 100;
var KINDS = {
  "EC P-256": ["ES256", "crv", "x", "y"],
  "OKP Ed25519": ["Ed25519", "crv", "x"],
  RSA: ["RS256", "n", "e"]
};
var PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
var RSA_BITS = [2048, 8192];
function createKeys(issuer, given, get, changed) {
  let keys = /* @__PURE__ */ new Map();
  let url = given;
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  let freshFor = 0;
  let running;
  let next;
  let failure;
  let isLate = false;
  const since = (moment) => Math.abs(Date.now() - moment);
  const isUsable = () => keys.size > 0 && since(fetchedAt) < KEPT;
  const why = () => failure ?? new KeysUnavailable("the issuer's keys were not fetched in time");
  const begin = () => next ?? running ?? (since(triedAt) < APART ? void 0 : start(0));
  const beginNext = () => {
    if (next) return next;
    if (failure && since(triedAt) < APART && !running) return void 0;
    return start(Math.max(0, APART_FOR_UNKNOWN - since(triedAt)));
  };
  const start = (delay) => {
    const before = running;
    const work = async () => {
      await before;
      const fetching = next;
      if (!before || !failure) {
        if (delay) await sleep(delay);
        [running, next, triedAt] = [fetching, void 0, Date.now()];
        failure = await read2().catch((error) => error);
        if (failure) url = given;
      }
      isLate = false;
      if (running === fetching) running = void 0;
      if (next === fetching) next = void 0;
    };
    return next = work();
  };
  const read2 = async () => {
    const from = url ?? await findURL();
    const { status, headers, body } = await get(from);
    const hint = status === 404 ? ": mount the issuer's well-known routes there, or give jwksUrl" : "";
    if (status !== 200) throw new KeysUnavailable(`${from} answered with ${status}${hint}`);
    const found = await keysIn(body);
    const isSame = [...keys].every(([kid, { text: text2 }]) => found.get(kid)?.text === text2);
    [keys, url, fetchedAt, freshFor] = [found, from, Date.now(), lifetime(headers.get("cache-control"))];
    if (!isSame) changed();
  };
  const findURL = async () => {
    const { origin, pathname } = new URL(issuer);
    const from = `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/+$/, "")}`;
    const { status, body } = await get(from);
    if (status >= 400 && status < 500) return `${issuer.replace(/\/+$/, "")}/.well-known/jwks.json`;
    const { issuer: named, jwks_uri } = status === 200 && readObject(body) || {};
    if (status !== 200 || named === void 0) throw new KeysUnavailable(`${from} answered with ${status}, without metadata`);
    if (named !== issuer) throw new IssuerUnusable(`the metadata at ${from} is of another issuer than ${issuer}`);
    if (!isSecure(`${jwks_uri}`) || /^https:/.test(issuer) && !/^https:/.test(`${jwks_uri}`)) {
      throw new IssuerUnusable(`the metadata at ${from} has the jwks_uri ${jwks_uri}: an https URL is needed`);
    }
    return `${jwks_uri}`;
  };
  return {
    find: (kid) => keys.get(kid),
    async ready() {
      const age = since(fetchedAt);
      if (age * 2 < freshFor) return;
      const fetching = begin();
      if (!isUsable()) {
        await within(fetching, PATIENCE);
        if (!isUsable()) throw why();
      } else if (fetching && age >= freshFor && !failure && !isLate) {
        isLate = !await within(fetching, PATIENCE_FOR_OLD);
      }
    },
    async renew() {
      const fetching = beginNext();
      if (!(fetching && await within(fetching, PATIENCE)) || failure) throw new KeysUnavailable(why().message);
    }
  };
}
function isSecure(url) {
  try {
    const { protocol, hostname, username, password, hash } = new URL(url);
    const isLoopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|(.+\.)?localhost)$/.test(hostname);
    return !username && !password && !hash && (protocol === "https:" || protocol === "http:" && isLoopback);
  } catch {
    return false;
  }
}
async function within(fetching, milliseconds) {
  let timer;
  const late = new Promise((go) => timer = setTimeout(go, milliseconds, false));
  const done = await Promise.race([fetching?.then(() => true) ?? false, late]);
  clearTimeout(timer);
  return done;
}
async function keysIn(body) {
  const listed = readObject(body || "[]")?.keys;
  if (!Array.isArray(listed) || listed.length > MOST) throw new KeysUnavailable("the issuer's keys are not a JWK Set");
  const found = /* @__PURE__ */ new Map();
  for (const jwk of listed) {
    const key = await usable(jwk);
    if (key && !found.has(jwk.kid)) found.set(jwk.kid, key);
  }
  if (found.size) return found;
  throw new IssuerUnusable("the issuer publishes no key that others can verify with: have it sign with ES256, not HS256");
}
async function usable(jwk) {
  if (Object(jwk) !== jwk || PRIVATE.some((member) => member in jwk)) return void 0;
  const { kty, crv, kid, alg, use = "sig", key_ops = ["verify"] } = jwk;
  const [algorithm, ...members] = KINDS[crv === void 0 ? `${kty}` : `${kty} ${crv}`] ?? [];
  const fits = algorithm !== void 0 && typeof kid === "string" && kid !== "" && (alg === void 0 || alg === algorithm) && use === "sig" && Array.isArray(key_ops) && key_ops.includes("verify") && members.every((member) => typeof jwk[member] === "string");
  if (!fits) return void 0;
  const open = Object.fromEntries([["kty", kty], ...members.map((member) => [member, jwk[member]])]);
  try {
    const key = await importJWK(open, algorithm);
    const { modulusLength: bits } = key.algorithm;
    if (bits !== void 0 && (bits < RSA_BITS[0] || bits > RSA_BITS[1])) return void 0;
    return { algorithm, key, text: JSON.stringify(open) };
  } catch {
    return void 0;
  }
}
function lifetime(cacheControl) {
  const [, seconds] = /(?:^|,)\s*max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl ?? "") ?? [];
  return seconds === void 0 ? FRESH : Math.min(Math.max(+seconds * 1e3, FRESH_AT_LEAST), FRESH_AT_MOST);
}

// src/verify_watch.ts
var LOOK_EVERY = 500;
function createWatches(leeway) {
  const watched = /* @__PURE__ */ new Map();
  let timer;
  const remove = (watch) => {
    watched.delete(watch);
    if (watched.size || timer === void 0) return;
    clearInterval(timer);
    timer = void 0;
  };
  const end = (holds, reason) => {
    for (const [watch, onEnd] of watched) {
      if (!holds(watch.token)) continue;
      remove(watch);
      queueMicrotask(() => onEnd(reason()));
    }
  };
  const look = () => {
    const now = Date.now() - leeway;
    end(({ expiresAt }) => now >= expiresAt, () => new TokenExpired("the access token has expired"));
  };
  return {
    add(first, onEnd, verify) {
      const watch = {
        token: first,
        async renew(accessToken) {
          const token = await verify(accessToken);
          if (token.sessionId !== watch.token.sessionId) throw new TokenMalformed("an access token of another session");
          if (token.expiresAt > watch.token.expiresAt) watch.token = token;
          return token;
        },
        stop: () => remove(watch)
      };
      watched.set(watch, onEnd);
      timer ??= setInterval(look, LOOK_EVERY);
      return watch;
    },
    endWhere: (holds) => end(holds, () => new SessionRevoked("the access token's session has ended"))
  };
}

// src/verify_token.ts
var isAccessTokenHeader = ({ typ, crit }) => crit === void 0 && `${typ}`.toLowerCase().replace(/^application\//, "") === "at+jwt";
function readAccessToken(claims, issuer, expected) {
  const { iss, aud, sub, client_id, jti, sid, iat, exp, auth_time, sid_iat = auth_time, scope = null, act } = claims;
  const audience = [aud].flat();
  if (iss !== issuer || !audience.every(isText) || !audience.includes(expected)) {
    throw new TokenMalformed("an access token of another issuer or for another audience");
  }
  if (![sub, client_id, jti, sid].every(isText)) throw new TokenMalformed("an access token without a required claim");
  if ("nbf" in claims) throw new TokenMalformed("an access token with a claim that this issuer does not set");
  if (![iat, exp, auth_time, sid_iat].every((time) => Number.isSafeInteger(time) && time >= 0)) {
    throw new TokenMalformed("an access token without a required time");
  }
  if (scope !== null && !isText(scope)) throw new TokenMalformed("an access token whose scope is not text");
  const actor = Object(act);
  return Object.freeze({
    subject: sub,
    sessionId: sid,
    clientId: client_id,
    issuer,
    audience: Object.freeze(audience),
    id: jti,
    issuedAt: iat * 1e3,
    expiresAt: exp * 1e3,
    authTime: auth_time * 1e3,
    sessionStartedAt: sid_iat * 1e3,
    username: text(claims.username),
    email: text(claims.email),
    scope,
    actor: text(actor.sub),
    actorSessionId: text(actor.sid),
    claims: freeze(claims)
  });
}
function covers(granted, wanted) {
  const words = new Set(granted?.split(" "));
  return wanted.split(" ").every((word) => words.has(word));
}
var isText = (value) => typeof value === "string";
var text = (value) => isText(value) ? value : null;
function freeze(value) {
  if (Object(value) === value) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

// src/verify.ts
var LONGEST = 16384;
var REMEMBERED = 1e4;
var CROWD = 1024;
function createVerifier(options) {
  const { issuer, audience = issuer, jwksUrl, leeway = 0, endings = false, onState = say, fetch, ...unknown } = options;
  refuseUnknown(unknown);
  checkURL("issuer", issuer);
  if (new URL(issuer).search) throw invalid("issuer", issuer, "a URL without '?'");
  if (typeof audience !== "string" || !audience) throw invalid("audience", audience, "text that is not empty");
  if (jwksUrl !== void 0) checkURL("jwksUrl", jwksUrl);
  if (!(leeway >= 0 && leeway <= 6e4)) throw invalid("leeway", leeway, "milliseconds, at most 60000");
  const following = endings && checkEndings(endings, issuer);
  let state = following ? "starting" : "off";
  let isFollowing = false;
  let epoch = 0;
  let everyoneUntil = -Infinity;
  let crowded = CROWD;
  const verified = /* @__PURE__ */ new Map();
  const ended = /* @__PURE__ */ new Map();
  const watches = createWatches(leeway);
  const over = new AbortController();
  const get = createGet((url, init) => (fetch ?? globalThis.fetch)(url, init));
  const forget = () => {
    verified.clear();
    epoch++;
  };
  const keys = createKeys(issuer, jwksUrl, get, forget);
  const open = async (text2, isRight) => {
    try {
      const header = decodeProtectedHeader(text2);
      const { kid, alg } = header;
      if (typeof kid !== "string" || !isRight(header)) throw new TokenMalformed("not what was expected");
      if (!keys.find(kid)) await keys.renew();
      const known = keys.find(kid);
      if (!known || known.algorithm !== alg) throw new TokenMalformed("signed with a key that this issuer does not have");
      const { payload } = await compactVerify(text2, known.key, { algorithms: [known.algorithm] });
      const claims = readObject(new TextDecoder("utf-8", { fatal: true }).decode(payload));
      if (claims && !Array.isArray(claims)) return claims;
    } catch (error) {
      if (error instanceof TokenMalformed || error.status === 503) throw error;
    }
    throw new TokenMalformed("not an access token");
  };
  const check = async (text2) => {
    const known = verified.get(text2);
    if (known) return known;
    if (typeof text2 !== "string" || text2.length > LONGEST) throw new TokenMalformed("too long for an access token");
    const before = epoch;
    const token = readAccessToken(await open(text2, isAccessTokenHeader), issuer, audience);
    if (before === epoch) {
      if (verified.size >= REMEMBERED) verified.delete(verified.keys().next().value);
      verified.set(text2, token);
    }
    return token;
  };
  const learn = async (event) => {
    const claims = await open(event, ({ typ }) => typ === EVENT_TYPE);
    const ending = readEnding(claims, issuer, following.clientId);
    if (!ending) return;
    const { sessionId, endedAt, until } = ending;
    if (sessionId === void 0) everyoneUntil = Math.max(everyoneUntil, endedAt);
    else ended.set(sessionId, until + leeway);
    watches.endWhere(hasEnded);
    if (ended.size < crowded) return;
    for (const [each, last] of ended) if (last <= Date.now()) ended.delete(each);
    crowded = Math.max(CROWD, 2 * ended.size);
  };
  const hasEnded = ({ sessionId, actorSessionId, sessionStartedAt }) => sessionStartedAt <= everyoneUntil || ended.has(sessionId) || ended.has(actorSessionId);
  const become = (next, reason) => {
    if (next === state) return;
    state = next;
    onState(next, reason);
  };
  const verifier = {
    async verify(accessToken, required = {}) {
      if (following && !isFollowing && !over.signal.aborted) {
        isFollowing = true;
        void followEndings(get, following, learn, become, over.signal);
      }
      await keys.ready();
      const token = await check(accessToken);
      if (Date.now() >= token.expiresAt + leeway) {
        verified.delete(accessToken);
        throw new TokenExpired("the access token has expired");
      }
      if (hasEnded(token)) throw new SessionRevoked("the access token's session has ended");
      require2(token, required);
      return token;
    },
    async authenticate(headers, required) {
      const [, text2] = /^bearer +(\S+) *$/i.exec(authorizationOf(headers)) ?? [];
      if (!text2) throw new TokenMissing("no access token was sent");
      return verifier.verify(text2, required);
    },
    async watch(accessToken, onEnd, required) {
      const verify = (text2) => verifier.verify(text2, required);
      const watch = watches.add(await verify(accessToken), onEnd, verify);
      if (hasEnded(watch.token)) watches.endWhere(hasEnded);
      return watch;
    },
    get state() {
      return state;
    },
    close() {
      over.abort();
      if (following) state = "off";
    }
  };
  return verifier;
}
function require2(token, { scope, maxAge, acr, ...unknown }) {
  refuseUnknown(unknown);
  if (scope && !covers(token.scope, scope)) throw new ScopeInsufficient(scope);
  const isOld = maxAge !== void 0 && Date.now() - token.authTime > maxAge * 1e3;
  if (isOld || acr !== void 0 && !acr.split(" ").includes(token.claims.acr)) {
    throw new AuthenticationInsufficient(maxAge, acr);
  }
}
function authorizationOf(headers) {
  if (headers instanceof Headers) return headers.get("authorization") ?? "";
  const { authorization = "" } = headers;
  return typeof authorization === "string" ? authorization : "";
}
function checkEndings({ clientId, clientSecret, url, ...unknown }, issuer) {
  refuseUnknown(unknown);
  if (!clientId || !clientSecret) throw new TypeError("endings: expected clientId and clientSecret: register this service at the issuer");
  const endpoint = url ?? `${issuer.replace(/\/+$/, "")}/auth/endings`;
  checkURL("endings.url", endpoint);
  return { clientId, clientSecret, url: endpoint };
}
function checkURL(name, url) {
  if (!isSecure(url)) throw invalid(name, url, "an https URL such as 'https://api.example.com'; plain http only on loopback");
}
var invalid = (name, value, expected) => new TypeError(`${name}: ${JSON.stringify(value)}: expected ${expected}`);
function say(state, reason) {
  if (state === "cut_off") console.warn(`daypass: access tokens of ended sessions are good until they expire: ${reason}`);
  else if (state === "polling") console.warn("daypass: the issuer is served by threads: it is asked twice a second which sessions have ended");
}
export {
  AuthenticationInsufficient,
  IssuerUnusable,
  KeysUnavailable,
  ScopeInsufficient,
  SessionRevoked,
  TokenExpired,
  TokenMalformed,
  TokenMissing,
  createVerifier,
  refusal,
  refusalResponse
};
//# sourceMappingURL=verify.js.map
