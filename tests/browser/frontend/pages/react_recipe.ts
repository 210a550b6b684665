import "../src/main.tsx";
import { session } from "../src/session";
import { expose } from "./_world";

expose(session);
