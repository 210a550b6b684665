// src/install.ts
import { LoginRequired, StepUpRequired, createSession } from "./index.js";
function installFetch(options = {}) {
  const before = globalThis.fetch;
  const session = createSession({ fetch: before, ...options });
  const { close } = session;
  const installed = async (input, init) => {
    try {
      return await session.fetch(input, init);
    } catch (error) {
      const known = error instanceof LoginRequired || error instanceof StepUpRequired;
      if (known) return error.response ?? new Response(null, { status: 401 });
      throw error;
    }
  };
  globalThis.fetch = installed;
  session.close = () => {
    if (globalThis.fetch === installed) globalThis.fetch = before;
    close();
  };
  return session;
}
export {
  installFetch
};
//# sourceMappingURL=install.js.map
