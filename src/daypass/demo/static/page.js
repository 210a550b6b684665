// The demo page. Only `createSession` keeps its user logged in; everything else shows what happens.
import { createSession } from "/browser/auth/daypass.js";

const NOTES = "/browser/api/notes";
const EVERY = 250;
const FRESH = 1100;
const PAST_GRACE = 3500;
const LIFE = 10_000;
const MESSAGE = 15_000;
const LEAD = "Your access token expires every ten seconds. The page sends four requests a second, and none fails.";

const byId = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const session = createSession({ url: "/browser/auth" });

const counts = { requests: 0, tokens: 0, refreshes: 0, replays: 0, failures: 0 };
const dots = [];
const tokens = [];
let asking;
let reachable = true;
let asked = 0;
const sentAgain = new Set();

const sleep = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

// ---- what is counted

function count(name, by = 1) {
  counts[name] += by;
  byId(name).textContent = counts[name].toLocaleString("en");
  byId("failures").parentElement.classList.toggle("seen", counts.failures > 0);
}

const underWay = new Set();

function ask() {
  const request = sendOne();
  underWay.add(request);
  return request.finally(() => underWay.delete(request));
}

async function sendOne() {
  const dot = { at: performance.now(), state: "waiting" };
  const query = `?${++asked}`;
  dots.push(dot);
  try {
    const answer = await session.fetch(NOTES + query, { cache: "no-store" });
    if (answer.status === 401) await session.refresh(); // to a token of a moment ago: LoginRequired if the session has ended
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    await answer.json();
    dot.state = sentAgain.delete(query) ? "again" : "fine";
    found(true);
  } catch (error) {
    dots.splice(dots.indexOf(dot), 1);
    if (error.name === "LoginRequired" || !session.user) return; // the session was ended, which is no failure
    if (error.name === "TypeError") return found(false); // the demo has ended
    dot.state = "failed";
    dots.push(dot);
    count("failures");
    note(`a request failed: ${error.message}`, "bad");
  } finally {
    if (dot.state !== "waiting") count("requests");
  }
}

function found(there) {
  if (there === reachable) return;
  reachable = there;
  byId("lead").textContent = there
    ? LEAD
    : "The demo has ended or cannot be reached. Start it again: daypass demo";
}

// ---- what the session tells

function begin({ user, lifetime }, how) {
  const last = tokens.at(-1);
  const now = performance.now();
  if (last) last.until = now;
  tokens.push({ from: now, life: lifetime ?? LIFE, early: false });
  count("tokens");
  byId("name").textContent = user?.email ?? user?.username ?? "somebody";
  byId("number").textContent = `No. ${counts.tokens}`;
  byId("ticket").classList.remove("new");
  void byId("ticket").offsetWidth; // so that the same movement starts again
  byId("ticket").classList.add("new");
  if (last) keepStub(last, counts.tokens - 1, how);
}

function keepStub(token, number, how) {
  const left = Math.max(0, (token.life - (token.until - token.from)) / 1000);
  const item = document.createElement("li");
  item.textContent = token.early ? `No. ${number} refused early` : `No. ${number} refreshed ${left.toFixed(1)} s before expiry`;
  if (how) item.textContent += `, ${how}`;
  item.classList.toggle("again", token.early);
  byId("stubs").prepend(item);
  while (byId("stubs").children.length > 4) byId("stubs").lastChild.remove();
}

session.on("loggedIn", (event) => {
  show(true);
  begin(event);
  note(event.shared ? "logged in by another tab" : "logged in", event.shared ? "shared" : "");
  listDevices();
});

session.on("refreshed", (event) => {
  count("refreshes");
  begin(event, event.shared ? "by another tab" : "");
  note(event.shared ? "another tab refreshed the access token for both" : "refreshed the access token", event.shared ? "shared" : "");
});

session.on("unauthorized", () => {
  const token = tokens.at(-1);
  if (token && !token.early) note("the server refused the access token: 401", "again");
  if (token) token.early = true;
});

session.on("replayed", ({ url }) => {
  count("replays");
  if (!sentAgain.size) note("sent the request again with the new access token", "again");
  sentAgain.add(new URL(url).search);
});

session.on("refreshFailed", ({ reason }) => note(`refresh failed (${reason}); the session is kept`, "again"));

session.on("loggedOut", ({ reason, shared }) => {
  note(reason === "logout" ? `logged out${shared ? " in another tab" : ""}` : "the server ended the session", "bad");
  const thief = !byId("thief").hidden && reason !== "logout";
  show(false);
  byId("login-problem").textContent = thief
    ? "Two parties used one session, so the server ended it. You can log in again; the thief cannot."
    : reason === "logout"
      ? ""
      : "The session was ended. Log in again.";
});

function entry(text, kind) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString("en-GB");
  const what = document.createElement("span");
  what.textContent = text;
  what.className = kind;
  item.append(time, what);
  return item;
}

function note(text, kind = "") {
  byId("log").prepend(entry(text, kind));
  while (byId("log").children.length > 60) byId("log").lastChild.remove();
}

// ---- logging in and out

function show(inside) {
  const focused = byId("login").contains(document.activeElement);
  say("");
  byId("app").hidden = !inside && !tokens.length;
  byId("app").classList.toggle("out", !inside);
  byId("login").hidden = inside;
  clearInterval(asking);
  if (inside) {
    asking = setInterval(ask, EVERY);
    byId("thief").hidden = true;
    byId("lead").textContent = LEAD;
    byId("login-problem").textContent = "";
    if (focused) byId("token-heading").focus();
  } else {
    byId("login").querySelector("button").focus();
  }
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = new FormData(event.target);
  byId("login-problem").textContent = "";
  try {
    await session.login({ email: given.get("email"), password: given.get("password"), deviceName: "This browser" });
  } catch (error) {
    byId("login-problem").textContent = error.message;
  }
});

session.ready.then((user) => {
  if (!user) show(false);
});

// ---- trying to make a request fail

const demo = (path, body) =>
  fetch(`/browser/demo/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body ?? {}),
  }).then((answer) => (answer.status === 204 ? null : answer.json()));

let clearing;
let following = false;

/** Show a message for a while. */
function say(text) {
  clearTimeout(clearing);
  byId("said").textContent = text;
  clearing = setTimeout(() => (byId("said").textContent = ""), MESSAGE);
}

const hundred = async () => {
  const before = counts.failures;
  await Promise.all(Array.from({ length: 100 }, ask));
  return counts.failures - before;
};

const deeds = {
  async hundred() {
    const failed = await hundred();
    say(`100 requests at once: ${100 - failed} succeeded, ${failed} failed.`);
  },
  async revoke() {
    // a 401 to an access token of a moment ago belongs to the caller: a newer one would be refused as well
    await Promise.all(underWay); // a request is sent again once, so it must not lose two tokens
    let age;
    while ((age = performance.now() - tokens.at(-1).from) < FRESH) await sleep(FRESH - age);
    const before = counts.refreshes;
    const answer = await session.fetch("/browser/api/token", { method: "DELETE", refresh: false });
    if (!answer.ok) return say("The access token had just expired. Try again.");
    const failed = await hundred();
    say(`The access token was revoked: 100 requests, ${counts.refreshes - before} refresh, ${failed} failed.`);
  },
  async lose() {
    await demo("failures", { lose: 1 });
    say("The server will do the next refresh, and its response will be lost. No request will fail.");
  },
  async busy() {
    await demo("failures", { unavailable: 2 });
    say("The next two refreshes will get a 503. You stay logged in, and no request will fail.");
  },
  tab() {
    say("A second tab is open. The tab that refreshes first does so for both.");
  },
  async steal() {
    if (following) return say("The thief has your refresh token already.");
    const { thief } = await demo("steal");
    if (!thief) return say("There is no refresh token to steal: log in first.");
    say("A thief has copied your refresh token. The server will find out within two or three refreshes.");
    byId("thief-log").replaceChildren();
    byId("thief").hidden = false;
    following = true;
    void follow(thief).finally(() => (following = false));
  },
  async stealBound() {
    if (following) return say("A thief is at work already.");
    byId("thief-log").replaceChildren();
    byId("thief").hidden = false;
    const tell = (text, kind = "") => byId("thief-log").append(entry(text, kind));
    tell("copied both tokens of a program whose session is bound to a key (DPoP); the key stays with the program");
    const { attempts, owner, refreshed } = await demo("steal-bound");
    for (const { path, proof, status, error } of attempts) {
      const what = path.endsWith("refresh") ? "asked for a new access token" : "asked for the notes";
      tell(`${what} with ${proof}: ${status} ${error ?? ""}`, status === 200 ? "bad" : "good");
    }
    const fine = owner === 200 && refreshed;
    tell(fine ? "the program refreshed and read its notes as before" : "the program was disturbed", fine ? "good" : "bad");
    say(`The thief tried ${attempts.length} requests and got nothing. Your own session was not involved.`);
  },
  async device() {
    const names = ["Phone", "Tablet", "Laptop", "Television", "Fridge"];
    await fetch("/browser/auth/login", {
      method: "POST",
      credentials: "omit",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        email: byId("login").elements.email.value,
        password: byId("login").elements.password.value,
        deviceName: names[byId("devices").children.length % names.length],
        tokenDelivery: "body",
      }),
    });
    await listDevices();
  },
  logout: () => session.logout(),
};

let busy = false;

for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", async () => {
    if (busy) return; // a second click while the first is at work
    busy = true;
    button.setAttribute("aria-busy", "true");
    await Promise.resolve(deeds[button.dataset.do]()).catch((error) => say(error.message));
    button.removeAttribute("aria-busy");
    busy = false;
  });
}

// ---- the thief

async function follow(thief) {
  const tell = (text, kind = "") => byId("thief-log").append(entry(text, kind));
  tell("copied your refresh token");
  let over = false;
  const unheard = session.on("loggedOut", () => (over = true));
  for (let turn = 0; turn < 12; turn++) {
    const { letIn, reason } = await demo(`thief/${thief}`);
    if (letIn) tell("used it and got an access token", "bad");
    else if (reason === "token_stale") tell("got 409: there is a newer refresh token");
    else {
      tell("got 401: refused", "good");
      tell(reason === "token_reused" ? "the server found two parties in one session and ended it" : "the session had ended");
      unheard();
      return say("The server found the thief and ended the session.");
    }
    // A careful thief: lets the owner refresh, and waits for more than the grace period.
    const { refreshes } = counts;
    while (!over && counts.refreshes === refreshes) await sleep(100);
    if (!over) await sleep(PAST_GRACE);
  }
}

// ---- devices

async function listDevices() {
  const answer = await session.fetch("/browser/auth/sessions").catch(() => null);
  if (!answer?.ok) return;
  const { sessions } = await answer.json();
  const items = sessions
    .filter(({ current, userAgent }) => current || /Mozilla/.test(userAgent ?? ""))
    .map(({ id, deviceName, current, createdAt }) => {
      const item = document.createElement("li");
      const name = document.createElement("div");
      const since = document.createElement("small");
      name.textContent = deviceName ?? "A device";
      since.textContent = `${current ? "this session, " : ""}since ${new Date(createdAt).toLocaleTimeString("en-GB")}`;
      name.append(since);
      const end = document.createElement("button");
      end.textContent = "End";
      end.setAttribute("aria-label", `End the session: ${name.firstChild.textContent}`);
      end.addEventListener("click", async () => {
        if (current) return session.logout();
        await session.fetch(`/browser/auth/sessions/${id}`, { method: "DELETE" });
        await listDevices();
      });
      item.append(name, end);
      return item;
    });
  const focused = byId("devices").contains(document.activeElement);
  byId("devices").replaceChildren(...items);
  if (focused) byId("devices").querySelector("button").focus();
}

// ---- drawing

const canvas = byId("stream");
const brush = canvas.getContext("2d");
let colours = {};

function readColours() {
  const style = getComputedStyle(document.querySelector(".legend"));
  const swatch = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
  colours = {
    fine: swatch(".dot.fine", "backgroundColor"),
    again: swatch(".dot.again", "borderTopColor"),
    failed: swatch(".dot.failed", "backgroundColor"),
    token: swatch(".ticket", "backgroundColor"),
    dim: style.color,
  };
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);

function draw() {
  const now = performance.now();
  const token = tokens.at(-1);
  const left = token ? Math.max(0, token.life - (now - token.from)) : 0;
  byId("left").style.transform = `scaleX(${token ? left / token.life : 0})`;
  byId("seconds").textContent = Math.ceil(left / 1000);
  byId("life").setAttribute("aria-valuenow", String(token ? Math.round((left / token.life) * 100) : 0));

  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  if (!colours.fine) readColours();
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  const span = width < 450 ? 15_000 : 30_000;
  const x = (at) => width - 6 - ((now - at) / span) * width;
  const floor = height - 2;
  const tall = height * 0.36;
  const line = floor - tall - 12;

  brush.fillStyle = colours.token;
  for (const { from, until = now, life } of tokens) {
    const end = Math.min(until, now, from + life);
    const [start, stop] = [Math.max(0, x(from)), x(end) - 2];
    if (stop <= 0) continue;
    const high = (at) => tall * Math.max(0, 1 - (at - from) / life);
    const begun = Math.max(from, now - span);
    brush.globalAlpha = end === now ? 1 : 0.45;
    brush.beginPath();
    brush.moveTo(start, floor);
    brush.lineTo(start, floor - high(begun));
    brush.lineTo(stop, floor - high(end));
    brush.lineTo(stop, floor);
    brush.fill();
  }
  brush.globalAlpha = 1;

  let [previous, stacked] = [-10, 0];
  for (const { at, state } of dots) {
    const place = x(at);
    if (place < 0) continue;
    stacked = Math.abs(place - previous) < 4 ? stacked + 1 : 0;
    if (!stacked) previous = place;
    // many at once form a column, ten high, that leans a little
    const y = line - (stacked % 10) * 6;
    const across = place + Math.floor(stacked / 10) * 1.5;
    brush.fillStyle = brush.strokeStyle = colours[state] ?? colours.dim;
    brush.beginPath();
    if (state === "failed") brush.fillRect(across - 3.5, y - 3.5, 7, 7);
    else brush.arc(across, y, state === "again" ? 3.2 : 2.6, 0, 7);
    if (state === "again") {
      brush.lineWidth = 2;
      brush.stroke();
    } else brush.fill();
  }
  while (dots.length && now - dots[0].at > 31_000) dots.shift();
  while (tokens.length > 1 && now - (tokens[0].until ?? now) > 31_000) tokens.shift();
}

function frame() {
  if (!byId("app").hidden) draw();
  if (still.matches) setTimeout(frame, 1000);
  else requestAnimationFrame(frame);
}
frame();
