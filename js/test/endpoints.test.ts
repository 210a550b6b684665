/** What the endpoints' answers mean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, judge, readGrant, refreshingCanHelp } from "../src/endpoints.ts";
import { readObject } from "../src/json.ts";
import { readUser } from "../src/user.ts";

const jwt = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;

const answer = (status: number, text = "", headers = {}): Answer => ({
  status,
  body: readObject(text),
  said: `refresh: HTTP ${status}`,
  headers: new Headers(headers),
});

test("only the issuer's own word ends a session", () => {
  const ends: Answer[] = [
    answer(401, '{"error": "invalid_grant"}'),
    answer(401, '{"message": "no"}'),
    answer(401, ""),
    answer(401, "{}", { "www-authenticate": 'Bearer realm="daypass"' }),
    answer(401, "{}", { "www-authenticate": 'Basic realm="x", Bearer' }),
    answer(400, '{"error": "invalid_grant"}'),
    answer(400, '{"error": "invalid_token"}'),
  ];
  for (const each of ends) assert.equal(judge(each).reason, each.said);
  const keeps: Answer[] = [
    answer(401, "<h1>Log in to the Wi-Fi</h1>"),
    answer(401, '"text"'),
    answer(401, "{}", { "www-authenticate": 'Basic realm="x"' }),
    answer(400, '{"error": "invalid_request"}'),
    answer(400, ""),
    ...[403, 404, 408, 409, 429, 500, 502, 503, 504].map((status) => answer(status, '{"error": "invalid_grant"}')),
    answer(200, '{"accessToken": 7}'),
    answer(200, '{"accessToken": "with space"}'),
    answer(200, ""),
    { status: 0, headers: new Headers(), said: "refresh: TypeError" },
  ];
  for (const each of keeps) assert.equal(judge(each).unavailable, each.said, JSON.stringify(each));
});

test("Retry-After is respected in seconds and as a date, by the server's clock, up to five minutes", () => {
  const asked = (value: string) => judge(answer(503, "", { "retry-after": value })).retryAfter;
  assert.deepEqual([asked("3"), asked(" 7 "), asked("86400")], [3000, 7000, 300_000]);
  assert.deepEqual([asked("-1"), asked("soon"), asked("Wed, 21 Oct 2015 07:28:00 GMT"), asked("")], Array(4).fill(undefined));
  const dated = { "retry-after": "Wed, 21 Oct 2015 07:28:20 GMT", date: "Wed, 21 Oct 2015 07:28:00 GMT" };
  assert.equal(judge(answer(503, "", dated)).retryAfter, 20_000);
  const soon = asked(new Date(Date.now() + 30_000).toUTCString())!;
  assert.ok(soon > 25_000 && soon <= 30_000);
});

test("a token's life is what the answer says, else the token itself, else unknown", () => {
  const life = (body: object) => readGrant(body as Record<string, unknown>)?.lifetime;
  assert.equal(life({ accessToken: "opaque", expiresIn: 900 }), 900_000);
  assert.equal(life({ accessToken: jwt({ iat: 1000, exp: 1300 }) }), 300_000);
  assert.equal(life({ accessToken: jwt({ iat: 1000, exp: 1300 }), expiresIn: "900" }), 300_000);
  for (const expiresIn of [undefined, 0, -5, null, "x"]) assert.equal(life({ accessToken: "opaque", expiresIn }), undefined);
  assert.equal(life({ accessToken: jwt({ exp: 1300 }) }), undefined);
});

test("a new token is no help where the challenge asks for something else", () => {
  for (const helps of [null, "", "Bearer", 'Bearer realm="a"', 'Basic realm="x", Bearer realm="y"', "bearer"]) {
    assert.equal(refreshingCanHelp(helps), true, String(helps));
  }
  for (const none of ['Basic realm="x"', "Negotiate", 'Bearer error="insufficient_scope"']) {
    assert.equal(refreshingCanHelp(none), false, none);
  }
});

test("the user is read from the claims, whatever letters are in the name", () => {
  const claims = { sub: "1", username: "Zoë 🎟", email: "zoe@example.com", plan: "pro" };
  assert.deepEqual(readUser(jwt(claims)), { subject: "1", username: "Zoë 🎟", email: "zoe@example.com", claims });
  assert.deepEqual(readUser(jwt({ sub: "1" })), { subject: "1", username: null, email: null, claims: { sub: "1" } });
  for (const none of ["opaque", "a.b.c", jwt([]), jwt({}), ""]) assert.equal(readUser(none), null, none);
});
