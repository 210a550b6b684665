/** `daypass/axios`: axios, without expiry. */
import type { Session } from "./index.ts";
import { readClaims } from "./user.ts";

/** The part of axios that is used; axios is not imported. */
export interface AxiosLike {
  defaults: { adapter?: unknown };
  create(config: object): { defaults: object; request(config: never): Promise<unknown> };
  getUri(config: never): string;
}

interface Config {
  data?: unknown;
  headers: { has(name: string): boolean };
  method?: string;
  refresh?: boolean;
  passive?: boolean;
  signal?: AbortSignal;
  [other: string]: unknown;
}

interface Answer {
  status: number;
  data: unknown;
  headers: Record<string, string | undefined>;
  /** An `XMLHttpRequest`, or a `Request`. */
  request?: { responseURL?: string };
  config: Config;
}

/**
 * Send an axios instance's requests through a session; returns the instance. A request with `refresh: false` in its
 * configuration is sent at once, with the current token, if any.
 *
 * The session works below every interceptor and transformation: the second request is exactly the same as the first, and
 * the application's own code sees only the last response.
 *
 * If the session is bound to a key (`dpop`), axios sends by `fetch`, which signs the request (axios 1.12 or later).
 */
export function withSession<T extends AxiosLike>(instance: T, session: Session): T {
  const plain = { adapter: instance.defaults.adapter, transformRequest: [], transformResponse: [] };
  const bare = instance.create({});
  bare.defaults = { headers: {} }; // the defaults are in the request already
  const urls = new WeakMap<object, string>();
  const signed = async (input: Request, init?: RequestInit) => {
    const answer = await session.fetch(input, init);
    urls.set(input, answer.url);
    return answer;
  };
  instance.defaults.adapter = async (config: Config): Promise<Answer> => {
    const { signal } = config;
    // up to here, a response that axios calls an error is a response like any other
    let failure: { config?: Config; response?: Answer } | undefined;
    const send = async (token?: string, login?: AbortSignal): Promise<Answer> => {
      failure = undefined;
      const headers = { ...config.headers, ...(token && { Authorization: `Bearer ${token}` }) };
      const ending = login && AbortSignal.any?.(signal ? [signal, login] : [login]);
      const bound = !!token && !!readClaims(token)["cnf"];
      const by = { ...plain, ...(bound && { adapter: "fetch", env: { fetch: signed } }) };
      const sent = { ...config, ...by, headers, ...(ending && { signal: ending }) };
      const answer = (await bare.request(sent as never).catch((error) => {
        if (login?.aborted && !signal?.aborted) throw login.reason;
        failure = error;
        error.config = config;
        if (!error.response) throw error;
        return error.response;
      })) as Answer;
      answer.config = config;
      return answer;
    };
    if (config.headers.has("Authorization")) return send();
    const answer = await session.exchange({
      url: instance.getUri(config as never),
      reads: /^(get|head)$/i.test(config.method!),
      repeatable: !(config.data instanceof ReadableStream),
      signal,
      refresh: config.refresh,
      passive: config.passive ?? config.headers.has("X-Daypass-Passive"),
      send,
      look: ({ status, request, headers, data }) => ({
        status,
        from: request && (request.responseURL ?? urls.get(request)),
        challenge: headers["www-authenticate"],
        text: () => data as string,
      }),
    });
    if (failure) throw failure;
    return answer;
  };
  return instance;
}
