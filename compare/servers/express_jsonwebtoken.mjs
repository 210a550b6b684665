// Express with jsonwebtoken, as most tutorials have it: refresh tokens without state.
import express from "express";
import jwt from "jsonwebtoken";

const SECRET = "s".repeat(32);
const app = express();
app.use(express.json());
const sign = (kind, expiresIn) => jwt.sign({ sub: "1", kind }, SECRET, { expiresIn });
const check = (text, kind) => {
  const found = jwt.verify(text ?? "", SECRET);
  if (found.kind !== kind) throw new Error("another kind of token");
  return found;
};
const guarded = (handle) => (request, response) => {
  try {
    handle(request, response);
  } catch {
    response.status(401).json({ error: "invalid" });
  }
};
app.post("/login", (_, response) => response.json({ access: sign("access", "15m"), refresh: sign("refresh", "30d") }));
app.post(
  "/refresh",
  guarded((request, response) => {
    check(request.body.refresh, "refresh");
    response.json({ access: sign("access", "15m"), refresh: sign("refresh", "30d") });
  }),
);
app.get(
  "/me",
  guarded((request, response) => response.json({ user: check(request.headers.authorization?.slice(7), "access").sub })),
);
app.listen(Number(process.env.PORT), "127.0.0.1");
