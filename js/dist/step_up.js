// src/step_up.ts
import { CredentialsRejected, LoginRefused, RefreshUnavailable, StepUpRequired } from "./index.js";

// src/json.ts
function readObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

// src/timing.ts
var DEADLINE = 1e4;
var LONGEST_TIMER = 2 ** 31 - 1;

// src/user.ts
function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return readObject(decodeURIComponent(escape(bytes))) ?? {};
  } catch {
    return {};
  }
}

// src/endpoints.ts
async function ask(core, path, limit, content, sent = {}) {
  try {
    const answer = await core.send(`${core.url}/${path}`, {
      method: "POST",
      credentials: "include",
      keepalive: true,
      // the response's cookie is set even if the page is closed meanwhile
      signal: AbortSignal.timeout(Math.ceil(limit)),
      headers: sent,
      body: content ? new Blob([content], { type: "application/json" }) : null
    });
    const { status, headers } = answer;
    return { status, headers, body: readObject(await answer.text()), said: `${path}: HTTP ${status}` };
  } catch (error) {
    return { status: 0, headers: new Headers(), said: `${path}: ${error.name}` };
  }
}
function readGrant(body) {
  const accessToken = body?.accessToken;
  if (!isAccessToken(accessToken)) return void 0;
  const { exp, iat } = readClaims(accessToken);
  return { accessToken, lifetime: span(body?.expiresIn) ?? span(exp - iat), ends: span(body?.refreshExpiresIn) };
}
var isAccessToken = (text) => typeof text === "string" && /^[!-~]+$/.test(text);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

// src/waiting.ts
function unlessAborted(waiting, ...signals) {
  const done = new AbortController();
  return new Promise((resolve, reject) => {
    for (const signal of signals) {
      const stop = () => reject(signal.reason);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { signal: done.signal });
    }
    waiting.then(resolve, reject);
  }).finally(() => done.abort());
}

// src/step_up.ts
var known = /* @__PURE__ */ new WeakMap();
var step_up_default = (async (core, what, asked) => {
  const found = known.get(core) ?? create(core);
  known.set(core, found);
  return what && found[what](asked);
});
function create(core) {
  const waiting = /* @__PURE__ */ new Set();
  const end = (how) => {
    const all = [...waiting];
    waiting.clear();
    all.forEach(how);
  };
  const confirmed = () => {
    if (waiting.size) core.emit("confirmed", void 0);
    end(({ go }) => go());
  };
  let last = authentication(core);
  core.on("refreshed", () => {
    const now = authentication(core);
    if (now !== last) confirmed();
    last = now;
  });
  return {
    async wait({ url, token, challenge, response, again, signal }) {
      const maxAge = /max_age="?(\d+)/.exec(challenge)?.[1];
      const acrValues = /acr_values="([^"]*)"/.exec(challenge)?.[1]?.split(" ");
      const wanted = { maxAge: maxAge && +maxAge * 1e3, acrValues };
      const required = new StepUpRequired("The user has to confirm who they are", { ...wanted, response });
      if (core.token !== token && authentication(core) !== authentication({ token })) return core.token;
      const cancel = () => end(({ stop }) => stop(required));
      const first = !waiting.size;
      if (!again || first && !core.emit("stepUp", { url, ...wanted, cancel })) throw required;
      let entry;
      const asking = new Promise((go, stop) => waiting.add(entry = { go, stop }));
      await unlessAborted(asking, signal, core.closing, core.login.over).finally(() => waiting.delete(entry));
      return core.token;
    },
    async confirm(confirmation) {
      const authorization = `Bearer ${await core.session.token()}`;
      const headers = { authorization };
      const { status, body, said } = await ask(core, "confirm", DEADLINE, JSON.stringify(confirmation), headers);
      const grant = readGrant(body);
      if (!grant) {
        if (body?.error === "invalid_credentials") throw new CredentialsRejected("Wrong credentials");
        if (status > 399 && status < 429) throw new LoginRefused(`${said} ${body?.message ?? ""}`, { reason: body?.error });
        throw new RefreshUnavailable(said);
      }
      core.settle({ grant });
      confirmed();
      return core.snapshot.user;
    }
  };
}
var authentication = ({ token }) => {
  const { auth_time, acr } = token?.user?.claims ?? {};
  return `${auth_time} ${acr}`;
};
export {
  step_up_default as default
};
//# sourceMappingURL=step_up.js.map
