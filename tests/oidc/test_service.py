"""`daypass serve` with oidc-provider, which nobody here wrote: login, refresh, both kinds of logout, its settings."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from ..browser import npm
from ..browser.engines import Engines
from ..server.processes import SECRET as MASTER
from ..server.processes import Service, daypass, eventually, running
from .providers import CLIENT, HERE, SECRET, free_port, node_provider

USERS = {
    "u-1": {
        "preferred_username": "ann",
        "email": "ann@example.com",
        "email_verified": True,
        "roles": ["read", "write"],
    },
    "u-2": {"preferred_username": "bob", "email": "bob@elsewhere.example", "email_verified": True},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run two processes of the service, and the provider."""
    npm.fetch(HERE, "oidc-provider/package.json", tmp_path_factory)
    port, folder = free_port(), tmp_path_factory.mktemp("service")
    origin = f"http://localhost:{port}"
    client = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [f"{origin}/auth/oidc/callback"],
        "post_logout_redirect_uris": [f"{origin}/bye"],
        "backchannel_logout_uri": f"{origin}/auth/oidc/backchannel-logout",
        "backchannel_logout_session_required": True,
    }
    with node_provider(client, USERS) as issuer:
        given = {
            "DAYPASS_SECRET": MASTER,
            "DAYPASS_ISSUER": origin,
            "DAYPASS_PORT": str(port),
            "DAYPASS_OIDC_ISSUER": issuer,
            "DAYPASS_OIDC_CLIENT_ID": CLIENT,
            "DAYPASS_OIDC_CLIENT_SECRET": SECRET,
            "DAYPASS_OIDC_SCOPE_CLAIM": "roles",
            "DAYPASS_OIDC_ALLOWED_DOMAINS": "example.com",
            "DAYPASS_OIDC_RETURN_TO": "/bye",
        }
        (folder / "daypass.toml").write_text(
            "".join(f"{n[8:].lower()} = {v!r}\n" for n, v in given.items() if "SECRET" not in n and "PORT" not in n)
        )
        secrets = {name: value for name, value in given.items() if "SECRET" in name}
        with running("--port", str(port), "--workers", "2", folder=folder, given=secrets) as process:
            process.address = origin
            yield process


def browser_at(service: Service) -> httpx2.Client:
    return httpx2.Client(base_url=service.address, timeout=30, follow_redirects=True)


def log_in(browser: httpx2.Client, name: str) -> httpx2.Response:
    """Log in, as a person does who gives a name at the provider."""
    page = browser.get("/auth/oidc/login?return_to=/auth/me")
    assert "<title>Provider</title>" in page.text, page.text
    return browser.post(page.url, data={"name": name})


def access(browser: httpx2.Client) -> str:
    token: str = browser.post("/auth/refresh").json()["accessToken"]
    return token


def me(browser: httpx2.Client, token: str) -> int:
    return browser.get("/auth/me", headers={"authorization": f"Bearer {token}"}).status_code


def test_login_and_logout_of_a_browser(service: Service) -> None:
    """The form ends this browser's session here and at the provider; another browser's goes on."""
    with browser_at(service) as one, browser_at(service) as two:
        for browser in (one, two):
            assert "/auth/me" == log_in(browser, "u-1").url.path
        tokens = [access(browser) for browser in (one, two)]
        told = one.get("/auth/me", headers={"authorization": f"Bearer {tokens[0]}"}).json()
        assert ("u-1", "ann", "ann@example.com") == (told["subject"], told["username"], told["email"])
        form = one.post("/auth/oidc/logout")  # ends the session here, and asks at the provider
        answered = one.post(form.url.copy_with(query=None).join(_action(form.text)), data=_fields(form.text))
        assert "/bye" == answered.url.path
        eventually(lambda: me(one, tokens[0]) == 401)
        assert 200 == me(two, tokens[1])


def test_logout_at_another_application_of_the_provider(service: Service) -> None:
    """Nobody asked us: the logout token alone ends the session."""
    with browser_at(service) as browser:
        log_in(browser, "u-1")
        token = access(browser)
        issuer = _issuer_of(browser)
        form = browser.get(f"{issuer}/session/end")
        assert 200 == me(browser, token)
        began = time.monotonic()
        browser.post(f"{issuer}/session/end/confirm", data=_fields(form.text))
        eventually(lambda: [me(browser, token) for _ in range(8)] == [401] * 8)  # in both processes
        assert time.monotonic() - began < 5
        assert 401 == browser.post("/auth/refresh").status_code


def test_user_from_elsewhere_and_user_who_says_no(service: Service) -> None:
    """The rules hold, and the provider's error is shown to a person."""
    page = {"accept": "text/html"}
    with browser_at(service) as browser:
        browser.headers |= page
        refused = log_in(browser, "u-2")
        assert (403, True) == (refused.status_code, "domain may not log in" in refused.text)
    with browser_at(service) as browser:
        browser.headers |= page
        declined = log_in(browser, "")
        assert (401, True) == (declined.status_code, "access_denied (No &lt;b&gt;thanks&lt;/b&gt;)" in declined.text)


def test_browser_logs_in_and_out(service: Service) -> None:
    """Chromium, with the provider on another site: the page after the login has a session, and the logout ends it."""
    look = """async () => {
        const { createSession } = await import("/auth/daypass.js");
        const said = (answer) => answer.json().then(({ subject }) => subject);
        return createSession().fetch("/auth/me").then(said, (error) => error.name);
    }"""
    leave = """() => {
        const form = document.body.appendChild(document.createElement("form"));
        Object.assign(form, { method: "post", action: "/auth/oidc/logout" }).submit();
    }"""
    with Engines() as engines, closing(engines.running("chromium").new_context()) as context:
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.goto(f"{service.address}/auth/oidc/login?return_to=/openapi.json")
        assert "Provider" == page.title()
        page.fill("input", "u-1")
        page.click("button")
        page.wait_for_url(f"{service.address}/openapi.json")
        assert "u-1" == page.evaluate(look)
        assert {"Strict"} == {each.get("sameSite") for each in context.cookies(service.address)}
        page.evaluate(leave)
        page.click("button[value=yes]")
        page.wait_for_url(f"{service.address}/bye*")
        page.goto(f"{service.address}/openapi.json")
        assert "LoginRequired" == page.evaluate(look)
        page.goto(f"{service.address}/auth/oidc/login?return_to=/auth/verify%3Fmax_age%3D5m")
        page.fill("input", "u-1")
        with page.expect_response("**/auth/verify*") as verified:  # by cookies alone, which are Strict
            page.click("button")
        assert 204 == verified.value.status
        page.goto(f"{service.address}/auth/oidc/callback?code=x&state=y")
        assert "The login did not succeed" in page.inner_text("h1")


def test_settings_show_no_secret(service: Service, tmp_path: Path) -> None:
    """`daypass config` hides the client's secret, from the environment; a weak file mode is refused."""
    given = {"DAYPASS_OIDC_CLIENT_SECRET": SECRET}
    options = ("--oidc-issuer", "https://login.example.com", "--oidc-client-id", "x")
    shown = daypass("config", "--json", *options, folder=tmp_path, given=given)
    assert {"value": "(hidden)", "from": "DAYPASS_OIDC_CLIENT_SECRET"} == json.loads(shown.stdout)["oidc_client_secret"]
    assert SECRET not in shown.stdout
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    refused = daypass("config", *options, "--oidc-client-secret-file", "open", folder=tmp_path)
    assert (1, True) == (refused.returncode, "chmod 600" in refused.stderr)


def _action(page: str) -> str:
    return str(re.findall(r'action="([^"]+)"', page)[0])


def _fields(page: str) -> dict[str, str]:
    """Return what the provider's form sends when its user says yes."""
    return {"xsrf": re.findall(r'name="xsrf" value="([^"]+)"', page)[0], "logout": "yes"}


def _issuer_of(browser: httpx2.Client) -> str:
    place = browser.get("/auth/oidc/login", follow_redirects=False).headers["location"]
    return str(httpx2.URL(place).copy_with(path="/", query=None)).rstrip("/")
