// A component that a server renders and a page hydrates; plain JavaScript, so that Node runs it as it is.
import { RequireLogin, SessionProvider, useUser } from "daypass/react";
import { createElement } from "react";

const Name = () => createElement("b", { id: "name" }, useUser()?.username ?? "nobody");

export const Greeting = ({ session, initialUser }) =>
  createElement(
    SessionProvider,
    { session, initialUser },
    createElement(Name),
    createElement(
      RequireLogin,
      { login: createElement("i", null, "log in"), pending: createElement("i", null, "one moment") },
      createElement("i", null, "welcome"),
    ),
  );
