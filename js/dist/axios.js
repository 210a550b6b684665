// src/axios.ts
var withSession = (instance, session) => session.axios(instance);
export {
  withSession
};
//# sourceMappingURL=axios.js.map
