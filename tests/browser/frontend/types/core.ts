import { DaypassError, type Session, type Snapshot, type User, createSession } from "daypass";
import { installFetch } from "daypass/install";
import { withSession } from "daypass/axios";
import axios from "axios";

const session: Session = createSession({ url: "/auth", origins: ["https://api.example.com"], ahead: 0.2 });
installFetch().close();

const { status, user, version }: Snapshot = session.snapshot();
status satisfies "unknown" | "in" | "out";
user satisfies User | null;
version satisfies number;

const like: typeof fetch = session.fetch; // wherever a fetch is wanted
const answer: Promise<Response> = session.fetch("/api", { refresh: false, signal: session.signal });
const token: string = await session.token({ goodFor: 1000 });
const stop: () => void = session.on("loggedOut", ({ reason, shared }) => void [reason satisfies string, shared satisfies boolean]);
const api = withSession(axios.create(), session);
api.get("/notes").then(({ status }) => status satisfies number);

try {
  await session.login({ username: "ann", password: "secret" });
} catch (error) {
  if (!(error instanceof DaypassError)) throw error;
  switch (error.code) {
    case "refresh_unavailable":
      error.retryAfter satisfies number | undefined;
      break;
    case "credentials_rejected":
      // @ts-expect-error: only RefreshUnavailable has it
      error.retryAfter;
      break;
    // @ts-expect-error: there is no such code
    case "nonsense":
  }
}

// @ts-expect-error: an option that does not exist
createSession({ uri: "/auth" });
// @ts-expect-error: nobody else sets who is logged in
session.user = null;
// @ts-expect-error: an event that does not exist
session.on("logout", () => {});

export { answer, like, stop, token };
