// The page for operators. daypass.js keeps its user logged in and asks for the password again; nothing here does.
import { createSession } from "../auth/daypass.js";
import { Plot, make, number } from "./plot.js";

const API = new URL("admin/api/", document.baseURI);
const LIVE = { overview: 5000, nodes: 5000, keys: 60_000 };
const FOLLOWING = 2000;
const CLOCK_OFF = 5000;

const byId = (id) => document.getElementById(id);
const session = createSession({ url: new URL("auth", document.baseURI).href });
const main = ["login", "refused", "overview", "users", "session", "events", "keys", "nodes"];

// ---- the server

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(name, given = {}, { passive = false, body } = {}) {
  const url = new URL(name, API);
  for (const [key, value] of Object.entries(given)) if (value) url.searchParams.set(key, value);
  const options = { passive, cache: "no-store" };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const answer = await session.fetch(url, options);
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content.message ?? `The server answered ${answer.status}.`);
  return content;
}

/** Do what asks the server; show why it failed. Return what it returned, undefined if it failed. */
async function attempt(work) {
  try {
    const done = await work();
    trouble("");
    return done;
  } catch (error) {
    if (error.code === "login_required" || error.code === "session_closed") return show("login");
    if (error.code === "step_up_required") return say("Nothing was changed.");
    if (error.status === 403) return refuse();
    if (error.status === 400 || error.status === 404) return trouble(error.message);
    if (error.status === 503) return trouble("The store cannot be used now. Trying again…");
    if (error instanceof Refused) return trouble(error.message);
    if (error.code || error instanceof TypeError) return trouble("The service cannot be reached. Trying again…");
    throw error;
  }
}

function trouble(text) {
  const banner = byId("trouble");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
}

let quiet;
function say(text) {
  byId("said").textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => (byId("said").textContent = ""), 8000);
}

/** Let a button work once at a time; it keeps the focus meanwhile. */
function once(button, work) {
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    await work();
    button.ariaDisabled = null;
  });
  return button;
}

// ---- words

const EVENTS = {
  started: "logged in", new_device: "new device", impersonated: "impersonated", confirmed: "confirmed", bound: "bound to a key",
  held: "held", repeated: "repeated", branched: "branched", healed: "healed", stale: "stale", reused: "theft found",
  suspected: "theft suspected", proof_refused: "proof refused", rejected: "refresh rejected", logged_out: "logged out",
  ended: "ended", ended_everyone: "ended everyone", login_failed: "login failed", limited: "rate limited",
  listening: "listening", polling: "polling", cut_off: "cut off", clock_off: "clock wrong", key_added: "key added",
  key_removed: "key removed", user_added: "user added", user_changed: "user changed", user_removed: "user removed",
  dropped: "records lost",
};
const BAD = new Set(["reused", "suspected", "proof_refused", "cut_off", "clock_off", "ended_everyone", "dropped"]);
const WARN = new Set(["login_failed", "limited", "rejected", "polling"]);
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const exact = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "medium" });

function ago(milliseconds) {
  const [unit, size] = UNITS.find(([, span]) => Math.abs(milliseconds) >= span) ?? UNITS.at(-1);
  return relative.format(-Math.trunc(milliseconds / size), unit);
}

function when(iso, absolute = false) {
  if (!iso) return null;
  const at = new Date(iso);
  const whole = exact.format(at);
  return make("time", { datetime: iso, title: absolute ? null : whole }, absolute ? whole : ago(Date.now() - at));
}

const badge = (text, kind) => make("span", { class: `badge ${kind}` }, text);
const link = (to, text, label) => make("a", { href: to, "aria-label": label }, text);
const toUser = (subject, name) => (subject ? link(`#users/${encodeURIComponent(subject)}`, name ?? subject) : null);
const toSession = (id) => (id ? link(`#session/${encodeURIComponent(id)}`, id.slice(0, 8), `Session ${id.slice(0, 8)}`) : null);
const none = (text) => make("p", { class: "dim empty" }, text);

function facts(pairs) {
  const known = pairs.filter(([, value]) => value != null && value !== "");
  return make("dl", { class: "facts" }, ...known.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** Return a table; on a narrow screen each row becomes a block, whose cells have the headings beside them. */
function table(caption, headings, rows) {
  // The roles are said, because a row that is shown as a block loses its own.
  const head = headings.map((text) => make("th", { scope: "col", role: "columnheader" }, text || make("span", { class: "unseen" }, "Action")));
  const body = rows.map((cells) => {
    const shown = cells.map((cell, index) => make("td", { role: "cell", "data-label": headings[index], class: cell ? null : "nothing" }, cell ?? ""));
    return make("tr", { role: "row" }, ...shown);
  });
  const whole = make(
    "table",
    { class: "records", role: "table" },
    make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...head)),
    make("tbody", { role: "rowgroup" }, ...body),
  );
  return make("div", { class: "card flush" }, whole);
}

// ---- which part is shown

let current = null;
let timer;

function show(name) {
  for (const id of main) byId(id).hidden = id !== name;
  byId("waiting").hidden = true;
  const inside = name !== "login" && name !== "refused";
  byId("nav").hidden = !inside;
  byId("who").hidden = !session.user;
  byId("name").textContent = session.user?.username ?? session.user?.email ?? session.user?.subject ?? "";
  for (const each of byId("nav").children) {
    const here = each.hash === `#${name === "session" ? "users" : name}`;
    if (here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  document.title = `${byId(`${name}-heading`).textContent} · Daypass for operators`;
  if (!inside) stop();
  if (name === "login") byId("login-form").elements.identifier.focus();
}

function refuse() {
  byId("refused-text").textContent = `You are logged in as ${session.user?.email ?? session.user?.username ?? session.user?.subject}. This account does not have the scope daypass:admin.`;
  show("refused");
  byId("refused-heading").focus();
}

function stop() {
  clearTimeout(timer);
  current = null;
}

const views = {
  overview: { update: overview },
  nodes: { update: nodes },
  keys: { update: keys },
  users: { enter: users },
  session: { enter: oneSession },
  events: { enter: events },
};

async function route({ focus = true } = {}) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = views[name] ? name : "overview";
  stop();
  const mine = (current = { view });
  trouble("");
  show(view);
  if (focus) byId(`${view}-heading`).focus();
  let argument = "";
  try {
    argument = decodeURIComponent(rest.join("/"));
  } catch {
    // somebody has written the address by hand
  }
  await views[view].enter?.(argument, mine);
  if (views[view].update) live(view, mine);
}

/** Bring a view up to date, again and again while it is shown and the page can be seen. */
async function live(view, mine, passive = false) {
  if (mine !== current) return;
  if (document.visibilityState === "visible" || !passive) await attempt(() => views[view].update(passive, mine));
  if (mine === current) timer = setTimeout(live, LIVE[view], view, mine, true);
}

addEventListener("hashchange", () => session.user && route());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || !current || !LIVE[current.view]) return;
  clearTimeout(timer);
  live(current.view, current, true);
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after "#" says which view is shown
  byId("main").focus();
});

// ---- overview

const plots = [
  ["Logins", [["started", "logged in"], ["login_failed", "failed"]]],
  ["Refreshes", [["rotated", "rotated"], ["held", "held"], ["repeated", "repeated"]]],
  ["Unusual refreshes", [["branched", "branched"], ["healed", "healed"], ["stale", "stale"]]],
  ["Thefts", [["reused", "found"], ["suspected", "suspected"], ["proof_refused", "proof refused"]]],
  ["Errors", [["failed", "status 5xx"], ["limited", "rate limited"]]],
].map(([title, series]) => new Plot({ title, series: series.map(([name, label]) => ({ name, label })) }));
const latency = new Plot({
  title: "Latency of requests",
  lines: true,
  series: ["p50", "p95", "p99"].map((name) => ({ name, label: name })),
  say: milliseconds,
});
byId("plots").append(...[...plots, latency].map((each) => each.element));

function milliseconds(value) {
  if (value == null) return "–";
  return value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

const sum = (list) => list.reduce((whole, each) => whole + each, 0);

async function overview(passive, mine) {
  const span = document.querySelector("#span input:checked").value;
  const found = await ask("overview", { span }, { passive });
  if (mine !== current || found.span !== document.querySelector("#span input:checked").value) return;
  const values = { ...found.events, failed: found.failed };
  const summary = Object.fromEntries(Object.entries(values).map(([name, list]) => [name, sum(list)]));
  const { first, width } = found;
  for (const plot of plots) plot.show({ values, first, width, summary });
  latency.show({ values: found.latency, first, width, summary: found.overall });
  const refreshes = ["rotated", "held", "repeated", "branched", "healed", "stale"].reduce((whole, each) => whole + summary[each], 0);
  figures([
    ["Logins", summary.started.toLocaleString("en")],
    ["Failed logins", summary.login_failed.toLocaleString("en")],
    ["Refreshes", refreshes.toLocaleString("en")],
    ["Thefts found", summary.reused.toLocaleString("en"), summary.reused ? "bad" : "", "#events/reused"],
    ["Failed requests", summary.failed.toLocaleString("en"), summary.failed ? "bad" : ""],
    ["Latency, p95", milliseconds(found.overall.p95)],
  ]);
  const running = found.processes.filter((each) => each.alive).length;
  byId("updated").textContent = `${running} ${running === 1 ? "process" : "processes"}. Updated at ${new Date().toLocaleTimeString()}.`;
  note("overview-note", !found.audited
    ? "There are no numbers: the audit trail, which has them, is off (audit_ttl)."
    : found.processes.length ? "" : "There are no numbers yet: each process writes its counts once a minute.");
}

function figures(each) {
  byId("figures").replaceChildren(
    ...each.map(([name, value, kind, to]) =>
      make("div", { class: `card ${kind ?? ""}` }, make("dt", {}, name), make("dd", {}, to && kind ? link(to, value, `${value}, show them`) : value)),
    ),
  );
}

function note(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text;
}

byId("span").addEventListener("change", () => {
  if (current?.view !== "overview") return;
  clearTimeout(timer);
  live("overview", current);
});

// ---- users and sessions

async function users(subject, mine) {
  byId("find").elements.find.value = subject;
  byId("user").hidden = true;
  if (subject) await attempt(() => findUser(subject, mine));
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = `#users/${encodeURIComponent(event.target.elements.find.value.trim())}`;
  if (location.hash === wanted) route();
  else location.hash = wanted;
});

async function findUser(find, mine) {
  const { subject, user } = await ask("user", { find });
  const found = await ask("sessions", { subject });
  if (mine !== current) return;
  const name = user?.email ?? user?.username ?? subject;
  const list = make("div");
  const count = make("h3", { tabindex: -1 });
  const add = (page, before) => {
    const all = [...before, ...page.sessions];
    count.textContent = all.length ? `Live sessions: ${all.length}${page.next ? " and more" : ""}` : "Live sessions: none";
    list.replaceChildren(...(all.length ? [sessionTable(name, all)] : []));
    if (page.next) list.append(once(make("button", { type: "button" }, "Show more"), () => attempt(async () => add(await ask("sessions", { subject, after: page.next }), all))));
    everywhere.hidden = !all.length;
  };
  const everywhere = once(make("button", { type: "button", class: "danger" }, "End all sessions"), () => endAll(subject, name, found.sessions.some((each) => each.current)));
  const state = user?.disabled_at || user?.disabled ? badge("disabled", "bad") : user ? badge("active", "good") : badge("no account in this store", "");
  byId("user").replaceChildren(
    make("div", { class: "card" },
      make("h2", {}, name, " ", state),
      facts([
        ["Email", user?.email], ["Name", user?.username], ["Subject", make("code", {}, subject)], ["Scope", user?.scope],
        ["Added", when(user?.created_at)], ["Disabled", when(user?.disabled_at)],
      ]),
      make("p", { class: "buttons" }, link(`#events//${encodeURIComponent(subject)}`, "Audit trail of this user"), everywhere),
    ),
    count,
    list,
  );
  add(found, []);
  byId("user").hidden = false;
  return count;
}

function sessionTable(name, sessions) {
  return table(`Live sessions of ${name}`, ["Session", "Device", "Address", "Logged in", "Last used", "Expires", ""], sessions.map((each) => [
    make("span", {}, toSession(each.session), each.current ? " " : null, each.current ? badge("this page", "good") : null),
    each.device ? make("span", { class: "device", title: each.device }, each.device) : null,
    each.address,
    when(each.created_at),
    when(each.last_used_at),
    when(each.expires_at),
    endButton(each),
  ]));
}

function endButton(each) {
  return once(make("button", { type: "button", class: "danger small", "aria-label": `End session ${each.session.slice(0, 8)}` }, "End"), () => endOne(each));
}

async function oneSession(id, mine) {
  byId("session-shown").replaceChildren();
  await attempt(async () => {
    const found = await ask("session", { id });
    if (mine !== current) return;
    const over = found.ended_at ? badge(`ended: ${found.end_reason}`, found.end_reason === "reuse" ? "bad" : "warn") : new Date(found.expires_at) < new Date() ? badge("expired", "warn") : badge("live", "good");
    byId("session-shown").replaceChildren(
      make("div", { class: "card" },
        make("h2", {}, make("code", { class: "id" }, found.session), " ", over, found.current ? " " : null, found.current ? badge("this page", "good") : null),
        facts([
          ["User", toUser(found.subject)], ["Device", found.device], ["Address", found.address], ["Logged in", when(found.created_at, true)],
          ["Last used", when(found.last_used_at, true)], ["Expires", when(found.expires_at, true)], ["Ended", when(found.ended_at, true)],
          ["Refreshes", String(found.refreshes)], ["Client", found.client_id], ["Scope", found.scope], ["Remembered", found.persistent ? "yes" : "no"], ["Acting for the user", found.actor],
        ]),
        make("p", { class: "buttons" }, link(`#events///${encodeURIComponent(found.session)}`, "Audit trail of this session"), found.ended_at ? null : endButton(found)),
      ),
    );
  });
}

async function endOne({ session: id, subject, device, current: own }) {
  const text = own ? "It is the one of this page: you have to log in again." : `Its user has to log in again${device ? ` on ${device}` : ""}.`;
  if (!(await sure("End this session?", text, "End session"))) return;
  await attempt(async () => {
    const { ended } = await ask("end-session", {}, { body: { session: id } });
    if (own) return leave();
    await again(subject);
    say(ended ? "The session was ended." : "The session had already ended.");
  });
}

async function endAll(subject, name, own) {
  const text = `${name} has to log in again, on every device.${own ? " That is you: this page too." : ""}`;
  if (!(await sure("End all sessions?", text, "End all sessions"))) return;
  await attempt(async () => {
    const { ended } = await ask("end-all", {}, { body: { subject } });
    if (own) return leave();
    await again(subject);
    say(ended === 1 ? "1 session was ended." : `${ended} sessions were ended.`);
  });
}

/** Show the state after a change, and put the focus where it was about. */
async function again(subject) {
  const mine = current;
  if (mine?.view === "session") return route();
  if (mine?.view === "users") (await findUser(subject, mine))?.focus();
}

/** The operator's own session has ended. */
async function leave() {
  await session.logout().catch(() => {});
  show("login");
}

function sure(heading, text, yes) {
  const dialog = byId("sure");
  byId("sure-heading").textContent = heading;
  byId("sure-text").textContent = text;
  byId("sure-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

// ---- the audit trail

const shown = { given: {}, events: [], names: {}, next: null, following: false };
byId("codes").append(...Object.entries(EVENTS).map(([code, text]) => make("option", { value: code }, `${text} (${code})`)));

async function events(argument, mine) {
  const [code = "", user = "", id = ""] = location.hash.slice(1).split("/").slice(1).map(decode);
  const { elements } = byId("filter");
  [elements.code.value, elements.user.value, elements.session.value] = [code in EVENTS ? code : "", user, id];
  shown.given = { code: elements.code.value, user, session: id };
  follow(false);
  byId("trail").replaceChildren();
  byId("older").hidden = true;
  await attempt(() => newest(mine));
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

async function newest(mine, passive = false) {
  const found = await ask("events", shown.given, { passive });
  if (mine !== current) return;
  const before = shown.events.map((each) => each.id).join();
  Object.assign(shown, found);
  if (!passive || before !== shown.events.map((each) => each.id).join()) trail();
}

function trail() {
  byId("older").hidden = !shown.next;
  const rows = shown.events.map((each) => [
    when(each.at, true),
    badge(EVENTS[each.code] ?? each.code, BAD.has(each.code) ? "bad" : WARN.has(each.code) ? "warn" : ""),
    toUser(each.subject, shown.names[each.subject]),
    toSession(each.session),
    each.reason ? make("span", { class: "anywhere" }, each.reason) : null,
    each.address,
    toUser(each.actor, shown.names[each.actor]),
  ]);
  byId("trail").replaceChildren(rows.length ? table("Events, the newest first", ["Time", "Event", "User", "Session", "Reason", "Address", "By"], rows) : none("Nothing was found."));
}

function follow(on) {
  shown.following = on;
  byId("follow").setAttribute("aria-pressed", on);
  if (on) following(current);
}

async function following(mine) {
  while (shown.following && mine === current) {
    if (document.visibilityState === "visible") await attempt(() => newest(mine, true));
    await new Promise((go) => setTimeout(go, FOLLOWING));
  }
}

byId("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  const { code, user, session: id } = event.target.elements;
  const parts = [code.value, user.value.trim(), id.value.trim()].map(encodeURIComponent);
  while (parts.at(-1) === "") parts.pop();
  const wanted = ["#events", ...parts].join("/");
  if (location.hash === wanted) route({ focus: false });
  else location.hash = wanted;
});
byId("follow").addEventListener("click", () => follow(!shown.following));
once(byId("older"), () => attempt(async () => {
  follow(false);
  const mine = current;
  const found = await ask("events", { ...shown.given, after: shown.next });
  if (mine !== current) return;
  Object.assign(shown, { events: [...shown.events, ...found.events], names: { ...shown.names, ...found.names }, next: found.next });
  trail();
}));

// ---- keys and nodes

const KEY_STATES = { "in use": "good", next: "warn", verifies: "" };

async function keys(passive, mine) {
  const found = await ask("keys", {}, { passive });
  if (mine !== current) return;
  byId("keys-shown").replaceChildren(table("Keys, the newest first", ["Kind", "Algorithm", "Key", "State", "Used", "Added"], found.keys.map((each) => [
    each.algorithm === "refresh" ? "refresh tokens" : "access tokens",
    each.algorithm === "refresh" ? "HMAC" : each.algorithm,
    make("code", { class: "id" }, each.kid),
    badge(each.state, KEY_STATES[each.state] ?? ""),
    when(each.used_from),
    when(each.created_at),
  ])));
}

async function nodes(passive, mine) {
  const found = await ask("overview", {}, { passive });
  if (mine !== current) return;
  const rows = found.processes.map((each) => [
    each.host ?? "unknown (older version)",
    each.pid == null ? null : String(each.pid),
    make("code", {}, each.process),
    each.alive ? badge("running", "good") : badge("silent", "warn"),
    clock(each.clock),
    number(each.requests),
    ago(each.seen),
  ]);
  byId("nodes-shown").replaceChildren(
    rows.length
      ? table("Processes", ["Host", "PID", "Process", "State", "Clock", "Requests in its last minute", "Last seen"], rows)
      : none(found.audited ? "None yet: each process writes once a minute." : "Unknown: the audit trail, in which processes write, is off (audit_ttl)."),
  );
}

function clock(difference) {
  if (difference == null) return make("span", { class: "dim" }, "not compared");
  const text = `${difference > 0 ? "+" : difference < 0 ? "−" : ""}${milliseconds(Math.abs(difference))}`;
  return Math.abs(difference) > CLOCK_OFF ? badge(text, "bad") : make("span", {}, text);
}

// ---- who is logged in

for (const each of "provider" in document.documentElement.dataset ? document.querySelectorAll(".provider") : []) {
  const url = new URL("auth/oidc/login", document.baseURI);
  url.searchParams.set("return_to", location.pathname);
  const link = each.querySelector("a");
  if (link.dataset.prompt) url.searchParams.set("prompt", link.dataset.prompt);
  link.href = url;
  each.hidden = false;
}

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.busy) return;
  form.busy = true;
  byId("login-problem").textContent = "";
  const { identifier, password } = form.elements;
  try {
    await session.login({ email: identifier.value.trim(), password: password.value });
    form.reset();
    await route();
  } catch (error) {
    byId("login-problem").textContent = error.code === "credentials_rejected" ? "The name or the password is wrong." : `Not logged in: ${error.message}`;
    password.select();
  } finally {
    form.busy = false;
  }
});

for (const id of ["logout", "refused-logout"]) once(byId(id), () => session.logout().then(() => show("login"), () => trouble("You are logged out here, but the service cannot be reached.")));

session.on("loggedOut", () => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  show("login");
});
session.on("loggedIn", ({ shared }) => shared && route({ focus: false }));

let cancelStepUp;
session.on("stepUp", ({ cancel }) => {
  cancelStepUp = cancel;
  const form = byId("step-up-form");
  form.reset();
  form.elements.username.value = session.user?.email ?? session.user?.username ?? "";
  byId("step-up-problem").textContent = "";
  byId("step-up").showModal();
});
session.on("confirmed", () => byId("step-up").close());
byId("step-up").addEventListener("cancel", () => cancelStepUp?.());
byId("step-up-cancel").addEventListener("click", () => {
  byId("step-up").close();
  cancelStepUp?.();
});
byId("step-up-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.busy) return;
  form.busy = true;
  byId("step-up-problem").textContent = "";
  try {
    await session.confirm({ password: form.elements.password.value });
  } catch (error) {
    byId("step-up-problem").textContent = error.code === "credentials_rejected" ? "The password is wrong." : `Not confirmed: ${error.message}`;
    form.elements.password.select();
  } finally {
    form.busy = false;
  }
});

await session.ready;
if (session.user) await route({ focus: false });
else if (session.status === "out") show("login");
else {
  show("login");
  trouble("The service cannot be reached.");
}
