/**
 * Step-up authentication (RFC 9470): requests whose login is too old wait until the user has confirmed who they are, in
 * any tab and by any means: a token has to say so.
 */
import type { Core } from "./core.ts";
import type { Confirmation } from "./credentials.ts";
import { CredentialsRejected, LoginRefused, RefreshUnavailable, StepUpRequired } from "./index.ts";
import { ask, readGrant } from "./endpoints.ts";
import { DEADLINE } from "./timing.ts";
import type { Token } from "./token.ts";
import type { User } from "./user.ts";
import { unlessAborted } from "./waiting.ts";

/** A request that was refused because its login is too old. */
export interface TooOld {
  url: string;
  token: Token;
  challenge: string;
  /** The response. */
  response: unknown;
  /** Whether it can be sent again. */
  again: boolean;
  /** The caller's signal. */
  signal: AbortSignal | undefined;
}

export interface StepUps {
  /** Return the token to send the request again with. It ends with `StepUpRequired` if there will be none. */
  wait(asked: TooOld): Promise<Token | undefined>;
  confirm(confirmation: Confirmation): Promise<User | null>;
}

interface Waiting {
  go(): void;
  stop(error: Error): void;
}

const known = new WeakMap<Core, StepUps>();

export interface StepUp {
  (core: Core): Promise<unknown>;
  (core: Core, what: "wait", asked: TooOld): Promise<Token | undefined>;
  (core: Core, what: "confirm", asked: Confirmation): Promise<User | null>;
}

/** Watch for confirmations in this session, once, and perform the operations. */
export default (async (core: Core, what?: keyof StepUps, asked?: never): Promise<unknown> => {
  const found = known.get(core) ?? create(core);
  known.set(core, found);
  return what && found[what](asked!);
}) as StepUp;

function create(core: Core): StepUps {
  const waiting = new Set<Waiting>();
  const end = (how: (each: Waiting) => void) => {
    const all = [...waiting];
    waiting.clear();
    all.forEach(how);
  };
  const confirmed = () => {
    if (waiting.size) core.emit("confirmed", undefined);
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
      const wanted = { maxAge: maxAge && +maxAge * 1000, acrValues };
      const required = new StepUpRequired("The user has to confirm who they are", { ...wanted, response });
      if (core.token !== token && authentication(core) !== authentication({ token })) return core.token;
      const cancel = () => end(({ stop }) => stop(required));
      const first = !waiting.size;
      if (!again || (first && !core.emit("stepUp", { url, ...wanted, cancel } as never))) throw required;
      let entry: Waiting;
      const asking = new Promise<void>((go, stop) => waiting.add((entry = { go, stop })));
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
    },
  };
}

/** How the user of a token was authenticated. */
const authentication = ({ token }: { token?: Token | undefined }): string => {
  const { auth_time, acr } = token?.user?.claims ?? {};
  return `${auth_time} ${acr}`;
};
