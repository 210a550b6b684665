import { createSession } from "daypass";

export const session = createSession();
