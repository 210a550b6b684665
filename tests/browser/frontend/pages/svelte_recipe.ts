import { mount } from "svelte";
import App from "../src/App.svelte";
import { session } from "../src/session";
import { expose } from "./_world";

mount(App, { target: document.getElementById("root")! });
expose(session);
