import { createSession } from "daypass";
import { createElement } from "react";
import { hydrateRoot } from "react-dom/client";
import { expose, seen } from "./_world";
import { Greeting } from "./_greeting.js";

const session = createSession();
const { initialUser } = window;
const options = { onRecoverableError: (error) => seen.errors.push(String(error)) };
new MutationObserver(() => seen.shown.push(document.getElementById("root").textContent)).observe(
  document.getElementById("root"),
  { childList: true, subtree: true, characterData: true },
);
seen.shown = [document.getElementById("root").textContent];
hydrateRoot(document.getElementById("root"), createElement(Greeting, { session, initialUser }), options);
expose(session);
