// src/json.ts
function readObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : void 0;
  } catch {
    return void 0;
  }
}

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
function readGrant(body) {
  const accessToken = body?.accessToken;
  if (!isAccessToken(accessToken)) return void 0;
  const { exp, iat } = readClaims(accessToken);
  return { accessToken, lifetime: span(body?.expiresIn) ?? span(exp - iat), ends: span(body?.refreshExpiresIn) };
}
var isAccessToken = (text) => typeof text === "string" && /^[!-~]+$/.test(text);
var span = (seconds) => typeof seconds === "number" && seconds > 0 ? seconds * 1e3 : void 0;

// src/logout.ts
var forgetLogout = (core) => stored((storage) => storage.removeItem(core.label));
function stored(use) {
  try {
    return use(localStorage);
  } catch {
    return void 0;
  }
}

// src/own_requests.ts
async function observe(core, path, { status, text }) {
  if (status < 200 || status > 299) return;
  const grant = readGrant(readObject(await text()));
  if (grant) forgetLogout(core);
  if (grant || path === "logout") core.settle({ grant, reason: path });
}
export {
  observe as default
};
//# sourceMappingURL=own_requests.js.map
