/** The messages of a WebSocket about its access token, and its close codes; as in the server in Python. */
import { readObject } from "./json.ts";

/** How a connection ended. */
export interface SocketClose {
  code: number;
  reason: string;
  wasClean: boolean;
}

const TOKEN = "daypass.token";
const ACCEPTED = '{"type":"daypass.accepted"';
const STEP_UP = "insufficient_user_authentication";

/** Renewals are sent at most this long before the server's time is up. */
const AHEAD = 60_000;

/** The access token has expired, or was refused. */
export const EXPIRED = 4401;
/** The session has ended, by the server's word or by the page's. */
export const ENDED = 4403;
export const RESTART = 1012;
export const TRY_AGAIN = 1013;
export const LOST: SocketClose = { code: 1006, reason: "", wasClean: false };
export const MISSING: SocketClose = { code: EXPIRED, reason: "token_missing", wasClean: false };

export const tokenMessage = (accessToken: string, resume?: unknown, proof?: string): string =>
  JSON.stringify({ type: TOKEN, accessToken, resume, proof });

/** The subprotocols that have the access token; the server chooses the first of them, or the application's own. */
export const tokenProtocols = (accessToken: string): string[] => [TOKEN, `${TOKEN}.${accessToken}`];

/** Return for how many milliseconds the server accepts this token; `undefined` for another message. */
export function acceptedFor(data: unknown): number | undefined {
  if (typeof data !== "string" || !data.startsWith(ACCEPTED)) return undefined;
  return Number(readObject(data)?.expiresIn ?? 60) * 1000;
}

/** Return how long before the end of such a time a newer token is sent. */
export const ahead = (left: number): number => Math.min(AHEAD, left / 5);

const needsStepUp = ({ code, reason }: SocketClose) => code === 1008 && reason.startsWith(STEP_UP);

/** Return whether the session has to decide: it has ended, or the user has to be authenticated again. */
export const concernsSession = (close: SocketClose): boolean => close.code === ENDED || needsStepUp(close);

/** Return the refusal that a request would have got, for the session to handle. */
export function asResponse(close: SocketClose): Response {
  const error = needsStepUp(close) ? STEP_UP : close.code === EXPIRED || close.code === ENDED ? "invalid_token" : "";
  const needed = needsStepUp(close) ? close.reason.slice(STEP_UP.length) : "";
  const headers = { "www-authenticate": `Bearer error="${error}"${needed}` };
  return error ? new Response(null, { status: 401, headers }) : new Response(null, { status: 503 });
}

/** Return whether another connection may work. */
export const isPassing = (close: SocketClose): boolean =>
  /^(1001|1005|1006|1011|1012|1013|1014|4401)$/.test(`${close.code}`) || concernsSession(close);
