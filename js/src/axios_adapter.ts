import type { Core } from "./core.ts";
import { observe, ownEndpoint } from "./own_requests.ts";
import { sendWithToken } from "./replay.ts";

/** What is needed of axios; nothing of it is imported. */
export interface AxiosLike {
  defaults: { adapter?: unknown };
  create(config: object): { defaults: object; request(config: never): Promise<unknown> };
  getUri(config: never): string;
}

interface Config {
  data?: unknown;
  headers: { has(name: string): boolean };
  method?: string;
  signal?: AbortSignal;
  [other: string]: unknown;
}

interface Answer {
  status: number;
  data: unknown;
  headers: Record<string, string | undefined>;
  request?: { responseURL?: string };
  config: Config;
}

/**
 * Make the adapter that never shows an expiry. It stands where the request is sent, below every interceptor and
 * transformation: the second time exactly the same is sent, and the application's own code sees the last answer alone.
 */
export function createAdapter(core: Core, instance: AxiosLike): (config: Config) => Promise<Answer> {
  const plain = { adapter: instance.defaults.adapter, transformRequest: [], transformResponse: [] };
  const bare = instance.create({});
  bare.defaults = { headers: {} }; // what is sent has had its defaults
  return async (config) => {
    // an answer that axios takes for an error is an answer all the same, up to here
    let failure: { config?: Config; response?: Answer } | undefined;
    const send = async (token?: string): Promise<Answer> => {
      failure = undefined;
      const headers = { ...config.headers, ...(token && { Authorization: `Bearer ${token}` }) };
      const answer = (await bare.request({ ...config, ...plain, headers } as never).catch((error) => {
        failure = error;
        error.config = config;
        if (!error.response) throw error;
        return error.response;
      })) as Answer;
      answer.config = config;
      return answer;
    };
    const url = core.cover(instance.getUri(config as never));
    const path = url && ownEndpoint(core, url);
    const direct = !url || path || config.headers.has("Authorization");
    const answer = await (direct
      ? send()
      : sendWithToken(core, {
          url,
          reads: /^(get|head)$/i.test(config.method!),
          repeatable: !(config.data instanceof ReadableStream),
          signal: config.signal,
          send,
          look: ({ status, request, headers }) => [status, request?.responseURL, headers["www-authenticate"]],
        }));
    if (failure) throw failure;
    if (path) observe(core, path, answer.data as string);
    return answer;
  };
}
