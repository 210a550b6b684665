/** Makes Node look like a page of this address, to the module: without a `location` a session is inert. */
export const ORIGIN = "http://127.0.0.1:9";
Object.assign(globalThis, { location: new URL(`${ORIGIN}/page`) });
