/** Fetches a small document once, within bounds of time and size; no redirect is followed. */
import { KeysUnavailable } from "./verify_errors.ts";

export interface Document {
  status: number;
  headers: Headers;
  body: string;
}

export type Get = (url: string, options?: { within?: number; headers?: Record<string, string>; signal?: AbortSignal }) => Promise<Document>;

export const WITHIN = 5000;
const MAXIMUM = 262_144;

/** @throws KeysUnavailable if there is no answer, none in time, or a larger one. */
export function createGet(send: typeof fetch): Get {
  return async (url, { within = WITHIN, headers = {}, signal } = {}) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), within);
    const stop = () => late.abort();
    signal?.addEventListener("abort", stop);
    try {
      const answer = await send(url, { headers: { accept: "application/json", ...headers }, redirect: "manual", signal: late.signal });
      return { status: answer.status, headers: answer.headers, body: await read(answer, url) };
    } catch (error) {
      if (error instanceof KeysUnavailable) throw error;
      throw new KeysUnavailable(`${url} gave no answer${late.signal.aborted ? ` in ${within / 1000} seconds` : `: ${(error as Error).name}`}`);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  };
}

async function read({ body }: Response, url: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  const reader = body?.getReader();
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader!.read()) {
    size += piece.value.length;
    if (size > MAXIMUM) {
      void reader!.cancel();
      throw new KeysUnavailable(`${url} answered with more than ${MAXIMUM} bytes`);
    }
    text += decoder.decode(piece.value, { stream: true });
  }
  return text;
}
