import { createSession } from "daypass";
import { RequireLogin, SessionProvider, useUser } from "daypass/react";
import { StrictMode, version } from "react";
import { createRoot } from "react-dom/client";
import { expose } from "./_world";

const session = createSession();
const Name = () => <b id="name">{`${version} ${useUser()?.username}`}</b>;

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <SessionProvider session={session}>
      <RequireLogin login={<i id="login">log in</i>}>
        <Name />
      </RequireLogin>
    </SessionProvider>
  </StrictMode>,
);
expose(session);
