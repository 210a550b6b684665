import { router } from "../src/main.ts";
import { session } from "../src/session";
import { expose } from "./_world";

expose(session, { router });
