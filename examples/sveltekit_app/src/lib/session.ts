import { createSession } from "daypass";

export const session = createSession(); // on the server it does nothing
