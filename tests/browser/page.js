// The page's code: one session, and one client of it, which sends requests and shows who is logged in.
const params = new URLSearchParams(location.search);
const kind = params.get("client") ?? "fetch";
const url = params.get("api") ?? "/auth";
const components = kind === "React" || kind === "Vue";
const [daypass, { withSession }, mounted] = await Promise.all([
  import(`${url}/daypass.js`),
  import(`${url}/daypass-axios.js`),
  components && import("/clients.js"),
]);

window.daypass = daypass;
window.events = [];
window.native = window.fetch;

/** A page without components: it calls the session, and shows who is logged in by the session's own events. */
function plain(session) {
  const shown = document.createElement("b");
  shown.id = "shown";
  document.getElementById("root").replaceChildren(shown);
  const show = () => (shown.textContent = `${session.status} ${session.user?.username ?? "nobody"}`);
  session.subscribe(show);
  show();
  const perform = (work) =>
    work(session).catch(({ name: error, message, code, reason }) => ({ error, message, code, reason }));
  return { perform, unmount() {} };
}

async function sendByFetch(fetch, path, { method = "GET", body, headers, signal } = {}) {
  const answer = await fetch(path, { method, body, headers, signal });
  const text = await answer.text();
  return { status: answer.status, data: /^[{[]/.test(text) ? JSON.parse(text) : text };
}

async function sendByAxios(url, { method = "GET", body: data, headers, signal } = {}) {
  try {
    const { status, data: seen } = await api({ url, method, data, headers, signal });
    return { status, data: seen };
  } catch (error) {
    if (error.name !== "AxiosError" || !error.response) throw error;
    return { status: error.response.status, data: error.response.data };
  }
}

function follow(session, send) {
  window.session = session;
  for (const name of ["loggedIn", "refreshed", "refreshFailed", "unauthorized", "replayed", "loggedOut"]) {
    session.on(name, (event) => events.push({ name, ...event }));
  }
  window.client?.unmount();
  const { perform, unmount } = components ? mounted[kind](session, document.getElementById("root")) : plain(session);
  window.client = {
    perform,
    unmount,
    send: (path, options) => perform((session) => send(session, path, options)),
    login: (credentials) => perform((session) => session.login(credentials)),
    logout: (options) => perform((session) => session.logout(options)),
  };
}

/** Make a session, and what sends requests by it. */
window.begin = (options) => {
  const session = daypass.createSession({ url, ...options });
  window.api = withSession(axios.create(), session);
  const byAxios = (_, path, options) => sendByAxios(path, options);
  follow(session, kind === "axios" ? byAxios : (session, path, options) => sendByFetch(session.fetch, path, options));
};

/** Put a session behind the page's `fetch`, which is all that the page then uses. */
window.install = async () => {
  const { installFetch } = await import(`${url}/daypass-install.js`);
  const session = installFetch();
  window.api = axios.create({ adapter: "fetch" });
  follow(session, (_, path, options) => (kind === "axios" ? sendByAxios(path, options) : sendByFetch(fetch, path, options)));
};

if (params.has("installed")) await install();
else if (!params.has("idle")) begin();

window.happened = (name) => events.filter((event) => event.name === name);

// Everything that a page may send, newly made each time.
const bodies = {
  json: () => JSON.stringify({ name: "Zoë", pad: "x".repeat(5000) }),
  params: () => new URLSearchParams({ name: "Zoë", pad: "x".repeat(5000) }),
  buffer: () => new Uint8Array(70_000).fill(65).buffer,
  blob: () => new Blob([new Uint8Array(300_000).fill(66)], { type: "application/x-cat" }),
  form: () => {
    const form = new FormData();
    form.append("title", "a picture");
    form.append("file", new File([new Uint8Array(300_000).fill(67)], "cat.png", { type: "image/png" }));
    return form;
  },
};

/** Send one request; return what the page sees of it. */
window.ask = (path, options) => client.send(path, options);
window.askMany = (times, path) => Promise.all(Array.from({ length: times }, (_, index) => ask(`${path}?${index}`)));
window.upload = (kind) => ask("/api/upload", { method: "POST", body: bodies[kind]() });
window.loaded = true;
