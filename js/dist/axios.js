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

// src/axios.ts
function withSession(instance, session) {
  const plain = { adapter: instance.defaults.adapter, transformRequest: [], transformResponse: [] };
  const bare = instance.create({});
  bare.defaults = { headers: {} };
  const urls = /* @__PURE__ */ new WeakMap();
  const signed = async (input, init) => {
    const answer = await session.fetch(input, init);
    urls.set(input, answer.url);
    return answer;
  };
  instance.defaults.adapter = async (config) => {
    const { signal } = config;
    let failure;
    const send = async (token, login) => {
      failure = void 0;
      const headers = { ...config.headers, ...token && { Authorization: `Bearer ${token}` } };
      const ending = login && AbortSignal.any?.(signal ? [signal, login] : [login]);
      const bound = !!token && !!readClaims(token)["cnf"];
      const by = { ...plain, ...bound && { adapter: "fetch", env: { fetch: signed } } };
      const sent = { ...config, ...by, headers, ...ending && { signal: ending } };
      const answer2 = await bare.request(sent).catch((error) => {
        if (login?.aborted && !signal?.aborted) throw login.reason;
        failure = error;
        error.config = config;
        if (!error.response) throw error;
        return error.response;
      });
      answer2.config = config;
      return answer2;
    };
    if (config.headers.has("Authorization")) return send();
    const answer = await session.exchange({
      url: instance.getUri(config),
      reads: /^(get|head)$/i.test(config.method),
      repeatable: !(config.data instanceof ReadableStream),
      signal,
      refresh: config.refresh,
      passive: config.passive ?? config.headers.has("X-Daypass-Passive"),
      send,
      look: ({ status, request, headers, data }) => ({
        status,
        from: request && (request.responseURL ?? urls.get(request)),
        challenge: headers["www-authenticate"],
        text: () => data
      })
    });
    if (failure) throw failure;
    return answer;
  };
  return instance;
}
export {
  withSession
};
//# sourceMappingURL=axios.js.map
