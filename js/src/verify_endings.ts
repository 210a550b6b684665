/**
 * Follows the sessions that an issuer has ended: security event tokens (RFC 8417) from `GET /auth/endings`.
 *
 * It asks again and again, with `Last-Event-ID`, so nothing is missed while the issuer is away. An issuer with an event loop
 * answers when a session ends; a threaded one is polled twice a second.
 */
import { readEvents } from "./event_fields.ts";
import { TokenMalformed } from "./verify_errors.ts";
import type { Get } from "./verify_http.ts";

/**
 * How a verifier learns of ended sessions: `off`, not at all; `starting`, there was no response yet; `listening`, the
 * issuer answers when a session ends; `polling`, it is polled twice a second; `cut_off`, it does not answer, or refuses
 * this client.
 */
export type EndingsState = "off" | "starting" | "listening" | "polling" | "cut_off";

export interface EndingsOptions {
  /** The client id of this service, which may introspect at the issuer. */
  clientId: string;
  clientSecret: string;
  /** The issuer's endpoint; default `/auth/endings` below the issuer. */
  url?: string;
}

/** One ending. Without a session, the sessions of all users that began until `endedAt` have ended. */
export interface Ending {
  sessionId?: string;
  endedAt: number;
  /** When the last of its access tokens has expired. */
  until: number;
}

export const EVENT_TYPE = "secevent+jwt";
const SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const ALL_REVOKED = "urn:daypass:event:all-sessions-revoked";

/** Longer than an issuer waits before it answers. */
const ANSWERED_WITHIN = 30_000;
const PAUSES = [200, 500, 1000, 2000, 5000];
const REFUSED_PAUSE = 30_000;
const LONGEST_RETRY = 60_000;
const WHY: Record<number, string> = {
  401: "check clientId and clientSecret",
  403: "register the client as one that may introspect",
  404: "give the issuer's application its clients, or say where its session endpoints are: endings.url",
};

/**
 * Follow until the signal is aborted; it never fails.
 *
 * @param learn takes each signed event; it throws `TokenMalformed` for one to ignore.
 * @param become called with the new state and its reason.
 */
export async function followEndings(
  get: Get,
  { url, clientId, clientSecret }: Required<EndingsOptions>,
  learn: (event: string) => Promise<void>,
  become: (state: EndingsState, reason?: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const authorization = `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}`; // RFC 6749 §2.3.1
  let cursor: string | undefined;
  let failures = 0;

  /** Send one request; return the milliseconds to wait before the next. */
  const ask = async (): Promise<number> => {
    const headers = { accept: "text/event-stream", authorization, ...(cursor !== undefined && { "last-event-id": cursor }) };
    const { status, body } = await get(url, { within: ANSWERED_WITHIN, headers, signal });
    if (status !== 200) {
      const reason = `${url} answered with ${status}${WHY[status] ? `: ${WHY[status]}` : ""}`;
      become("cut_off", reason);
      return WHY[status] ? REFUSED_PAUSE : pause();
    }
    const events: string[] = [];
    let [last, retry] = [cursor, 0];
    readEvents({ event: ({ data }) => events.push(data), id: (id) => (last = id), retry: (wait) => (retry = wait) })(body);
    for (const event of events) {
      await learn(event).catch((error: unknown) => {
        if (!(error instanceof TokenMalformed)) throw error;
      });
    }
    [cursor, failures] = [last, 0];
    become(retry ? "polling" : "listening");
    return Math.min(retry, LONGEST_RETRY);
  };
  const pause = () => PAUSES[Math.min(failures++, PAUSES.length - 1)]!;

  while (!signal.aborted) {
    const wait = await ask().catch((error: Error) => {
      if (!signal.aborted) become("cut_off", error.message);
      return pause();
    });
    if (wait) await rest(wait, signal);
  }
}

/**
 * Return the ending that an event is about; `undefined` for an event of another kind.
 *
 * @throws TokenMalformed if it is not of this issuer for this client.
 */
export function readEnding(claims: Record<string, any>, issuer: string, clientId: string): Ending | undefined {
  if (claims.iss !== issuer || claims.aud !== clientId) throw new TokenMalformed("an event of another issuer or for another service");
  const { [ALL_REVOKED]: all, [SESSION_REVOKED]: one } = claims.events ?? {};
  const sessionId = claims.sub_id?.session?.id;
  const seconds = (value: unknown) => {
    if (!Number.isSafeInteger(value)) throw new TokenMalformed("an event without a required time");
    return (value as number) * 1000;
  };
  if (all) return { endedAt: seconds(all.event_timestamp), until: 0 };
  if (!one) return undefined;
  if (typeof sessionId !== "string") throw new TokenMalformed("an event without a session");
  return { sessionId, endedAt: seconds(one.event_timestamp), until: seconds(one.access_tokens_expire_at) };
}

const encode = (text: string) => encodeURIComponent(text).replace(/%20/g, "+");

function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
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
