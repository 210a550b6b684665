// src/axios.ts
function withSession(instance, session) {
  const plain = { adapter: instance.defaults.adapter, transformRequest: [], transformResponse: [] };
  const bare = instance.create({});
  bare.defaults = { headers: {} };
  instance.defaults.adapter = async (config) => {
    const { signal } = config;
    let failure;
    const send = async (token, login) => {
      failure = void 0;
      const headers = { ...config.headers, ...token && { Authorization: `Bearer ${token}` } };
      const ending = login && AbortSignal.any?.(signal ? [signal, login] : [login]);
      const sent = { ...config, ...plain, headers, ...ending && { signal: ending } };
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
        from: request?.responseURL,
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
