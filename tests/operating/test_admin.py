"""The endpoints of the page for operators, on real servers over each store."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from daypass import AsyncDaypass, User
from daypass.account_steps import SetScope
from daypass.duration import DAY, HOUR, MINUTE
from daypass.operator_steps import MINUTE_COUNTS, AuditRecord, NoteEvents
from daypass.server.admin.minutes import Minutes, quantile
from daypass.server.app import build_app
from daypass.server.settings import read
from daypass.stores import open_async_store
from daypass.user import Account

from ..servers import postgres
from ..servers import redis as redis_servers
from ..servers.application import serving
from .admin_service import PASSWORD, SCOPE, SECRET, Service, counted, started

MARKUP = '"><img/src=x/onerror=alert(1)>'

STORES = ("sqlite", "postgres", "redis")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'app.db'}"


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a service over each store; what a test writes stays for the next one."""
    if request.param == "sqlite":
        with started(f"sqlite:///{tmp_path_factory.mktemp('admin') / 'app.db'}") as service:
            yield service
    elif request.param == "postgres":
        with started(postgres.tables(request.getfixturevalue("postgres_at")())) as service:
            yield service
    else:
        server = request.getfixturevalue("redis_server")
        with redis_servers.prefix(server) as prefix, started(f"{server}?prefix={prefix}") as service:
            yield service


class Browser:
    """A client that is logged in."""

    def __init__(self, service: Service, account: Account) -> None:
        self.client = service.stack.enter_context(httpx2.Client(base_url=service.address, timeout=30))
        self.credentials = {"email": account.email, "password": PASSWORD}
        answer = self.client.post("/auth/login", json=self.credentials)
        assert 200 == answer.status_code, answer.text
        self.token = answer.json()["accessToken"]

    @property
    def session(self) -> str:
        found = self.client.get("/auth/sessions", headers=self.bearing).json()["sessions"]
        return str(next(each["id"] for each in found if each["current"]))

    @property
    def bearing(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def get(self, name: str, **given: Any) -> httpx2.Response:
        return self.client.get(f"/admin/api/{name}", params=given, headers=self.bearing)

    def post(self, name: str, **body: Any) -> httpx2.Response:
        headers = {"content-type": "application/json", **self.bearing}
        return self.client.post(f"/admin/api/{name}", content=json.dumps(body), headers=headers)

    def confirm(self) -> None:
        answer = self.client.post("/auth/confirm", json={"password": PASSWORD}, headers=self.bearing)
        assert 200 == answer.status_code, answer.text
        self.token = answer.json()["accessToken"]

    def refresh(self) -> int:
        answer = self.client.post("/auth/refresh")
        self.token = answer.json().get("accessToken", "")
        return answer.status_code


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.1)
    return value


def test_counts_of_all_nodes_are_added_up(service: Service) -> None:
    """More records than one step reads, of two processes; a later one is added, and a repeated one is not."""
    now = service.now()

    def minute(process: int, number: int, **more: Any) -> AuditRecord:
        content = {"rotated": 3, "started": 1, "/auth/refresh 503": 2, "/auth/login 401": 1, "t1": 3, "t4": 1, **more}
        return counted((now // MINUTE - number - 1) * MINUTE, process, number, **content)

    for start in range(0, 600, 300):
        service.store.perform_operator(NoteEvents(tuple(minute(2, each) for each in range(start, start + 300))))
    newest = minute(1, 0, host="node-a", pid=7, clock=-40)
    service.store.perform_operator(NoteEvents((newest, minute(3, 9_999_999))))
    ada = Browser(service, service.operator)
    hour, day = (ada.get("overview", span=span).json() for span in ("hour", "day"))
    assert (60, 144) == (len(hour["failed"]), len(day["failed"]))
    assert (60 * 3, 60 + 1) == (sum(hour["events"]["rotated"]) - 3, sum(hour["events"]["started"]))
    assert (61 * 2, 61 * 4) == (sum(hour["failed"]), sum(hour["requests"]))
    assert sum(day["events"]["started"]) in range(590, 602)  # the last of them may be in an interval that is not over
    assert [2.0, 24.4] == [round(hour["overall"][name], 1) for name in ("p50", "p99")]
    processes = {each["process"]: each for each in hour["processes"]}
    assert ("node-a", 7, -40, True) == tuple(processes["00000001"][name] for name in ("host", "pid", "clock", "alive"))
    assert processes["00000002"]["host"] is None

    service.ahead += 3000
    later = AuditRecord(newest.at + 1, f"{1:08x}{1:08x}", MINUTE_COUNTS, reason='{"rotated":5}')
    service.store.perform_operator(NoteEvents((later, newest)))
    assert sum(hour["events"]["rotated"]) + 5 == sum(ada.get("overview").json()["events"]["rotated"])


def test_trail_is_read_in_pages(service: Service) -> None:
    """All pages together have each record once, the newest first; filters apply to every page."""
    before = service.now() - HOUR
    records = tuple(
        AuditRecord(before + number // 3, f"{number:016x}", "reused", f"{number:032x}", "mallory", MARKUP)
        for number in range(120)
    )
    service.store.perform_operator(NoteEvents(records))
    ada = Browser(service, service.operator)
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = ada.get("events", user="mallory", code="reused", after=page["next"]).json()
        found += page["events"]
    assert [record.session_id for record in records[::-1]] == [each["session"] for each in found]
    assert {MARKUP} == {each["reason"] for each in found}
    assert [f"{7:032x}"] == [each["session"] for each in ada.get("events", session=f"{7:032x}").json()["events"]]


def test_operator_finds_a_user_and_ends_sessions(service: Service) -> None:
    """A change needs a recent authentication; the trail says who made it, and a second click ends nothing more."""
    bob, again, ada = Browser(service, service.user), Browser(service, service.user), Browser(service, service.operator)
    for identifier in (service.user.email.upper(), service.user.username, service.user.subject):
        found = ada.get("user", find=identifier).json()
        assert (service.user.subject, service.user.email) == (found["subject"], found["user"]["email"])
    listed = ada.get("sessions", subject=service.user.subject).json()
    assert ([again.session, bob.session], None) == ([each["session"] for each in listed["sessions"]], listed["next"])
    assert [False, False] == [each["current"] for each in listed["sessions"]]
    own = ada.get("sessions", subject=service.operator.subject).json()["sessions"]
    assert [ada.session] == [each["session"] for each in own if each["current"]]

    its_session, service.ahead = bob.session, service.ahead + 6 * MINUTE
    refused = ada.post("end-session", session=its_session)
    assert (401, "insufficient_user_authentication") == (refused.status_code, refused.json()["error"])
    assert 'max_age="300"' in refused.headers["www-authenticate"]
    assert ada.get("session", id=its_session).json()["ended_at"] is None
    ada.confirm()
    assert [{"ended": 1}, {"ended": 0}] == [ada.post("end-session", session=its_session).json() for _ in range(2)]
    assert (401, 200) == (bob.refresh(), again.refresh())
    assert {"ended": 1} == ada.post("end-all", subject=service.user.subject).json()
    assert 401 == again.refresh()
    over = ada.get("session", id=its_session).json()
    assert ("ended", True) == (over["end_reason"], over["ended_at"] is not None)

    def ended() -> Any:
        found = ada.get("events", user=service.user.email, code="ended").json()["events"]
        return found if len(found) == 2 else None

    assert {service.operator.subject} == {each["actor"] for each in eventually(ended)}
    names = ada.get("events", code="ended", user=service.user.subject).json()["names"]
    assert {each.subject: each.email for each in (service.operator, service.user)} == names
    kinds = {each["algorithm"]: each["state"] for each in ada.get("keys").json()["keys"]}
    assert {"ES256": "in use", "refresh": "in use"} == kinds


def test_nobody_else_sees_anything(url: str) -> None:
    """Without a token 401; without the scope 403, and at once when it was taken away; nothing is changed."""
    with started(url) as service:
        refuse_everyone_else(service)


def refuse_everyone_else(service: Service) -> None:
    bob, ada = Browser(service, service.user), Browser(service, service.operator)
    posts = [("end-session", {"session": ada.session}), ("end-all", {"subject": service.operator.subject})]
    for name in ("overview", "user", "sessions", "session", "events", "keys"):
        bare = bob.client.get(f"/admin/api/{name}")
        assert (401, 'Bearer realm="daypass"') == (bare.status_code, bare.headers["www-authenticate"])
        refused = bob.get(name)
        assert (403, "insufficient_scope") == (refused.status_code, refused.json()["error"])
        assert f'scope="{SCOPE}"' in refused.headers["www-authenticate"]
        assert 405 == bob.post(name).status_code
    assert [403, 403] == [bob.post(name, **body).status_code for name, body in posts]
    assert 200 == ada.get("keys").status_code
    second = service.add("second", SCOPE)
    service.store.perform_account(SetScope(service.operator.subject, None))
    assert [403, 403, 403] == [
        ada.get("keys").status_code,
        *(ada.post(name, **body).status_code for name, body in posts),
    ]
    assert 200 == ada.refresh()
    third = Browser(service, second)
    third.client.post("/auth/logout")
    eventually(lambda: third.get("keys").status_code == 401)
    foreign = bob.client.get("/admin/api/keys", headers={**bob.bearing, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


def test_page_is_off_until_a_user_may_see_it(url: str) -> None:
    """Without such a user every path answers 404; soon after there is one, the page is there, and holds no data."""
    with started(url) as service:
        ada = Browser(service, service.operator)
        service.store.perform_account(SetScope(service.operator.subject, "daypass:administer other"))
        paths = ["/admin", "/admin/admin.js", "/admin/api/keys"]
        assert [404] * 3 == [ada.client.get(path, headers=ada.bearing).status_code for path in paths]
        service.store.perform_account(SetScope(service.operator.subject, f"other {SCOPE}"))
        service.ahead += 6000
        assert 200 == ada.refresh()
        assert [200] * 3 == [ada.client.get(path, headers=ada.bearing).status_code for path in paths]
        page = ada.client.get("/admin")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert [404, 404] == [ada.client.get(path).status_code for path in ("/admin/", "/admin/static/admin.js")]
    with started(url, admin="off") as service:
        assert 404 == httpx2.get(f"{service.address}/admin").status_code


def test_users_from_elsewhere(url: str) -> None:
    """A user whose source gives the scope is an operator, if the setting says so; others are found by their subject."""
    people = {"1": User("1", "root", scope=SCOPE), "2": User("2", MARKUP, disabled=True), "3": User("3")}

    class Source:
        hashes = False

        async def check(self, identifier: str, password: str) -> User | None:
            return people.get(identifier) if password == PASSWORD else None

        async def load(self, subject: str) -> User | None:
            return people.get(subject)

        async def close(self) -> None:
            """Close nothing."""

    store, source = open_async_store(url), Source()
    for mode, status in (("auto", 404), ("on", 200)):
        auth = AsyncDaypass(
            store, issuer="http://127.0.0.1", secret=SECRET, load_user=source.load, authenticate=source.check
        )
        with (
            serving(build_app(auth, store, users=source, admin=mode)) as address,
            httpx2.Client(base_url=address) as client,
        ):
            token = client.post("/auth/login", json={"username": "1", "password": PASSWORD}).json()["accessToken"]
            bearing = {"authorization": f"Bearer {token}"}
            found = [client.get(f"/admin/api/user?find={each}", headers=bearing) for each in ("2", "nobody")]
            assert [status, status] == [each.status_code for each in found]
            overview = client.get("/admin/api/overview", headers=bearing)
    assert (MARKUP, True) == (found[0].json()["user"]["username"], found[0].json()["user"]["disabled"])
    assert {"subject": "nobody", "user": None} == found[1].json()
    assert (False, 0, []) == (
        overview.json()["audited"],
        sum(overview.json()["requests"]),
        overview.json()["processes"],
    )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("overview?span=year", "span has to be one of hour, day"),
        ("events?code=nonsense", "code has to be one of started"),
        ("events?after=1", "after is not valid"),
        ("events?after=" + "9" * 16 + "." + "0" * 16, "after is not valid"),
        ("user", "Give find"),
        ("user?find=%00", "find is not valid"),
        ("user?find=%ff", "The query is not valid"),
        ("user?find=" + "x" * 1021, "find is not valid"),
        ("sessions?subject=1&after=1.zz", "after is not valid"),
        ("events?" + "&".join(f"a{n}=1" for n in range(20)), "The query is not valid"),
    ],
)
def test_what_is_asked_wrongly_is_refused(asked: Browser, path: str, told: str) -> None:
    """With 400, and what is wrong."""
    answer = asked.client.get(f"/admin/api/{path}", headers=asked.bearing)
    assert (400, True) == (answer.status_code, told in answer.json()["message"]), answer.text


def test_changes_are_refused_if_they_are_not_understood(asked: Browser) -> None:
    """A session that does not exist is 404; a body that is not right is 400."""
    assert 404 == asked.post("end-session", session="0" * 32).status_code
    assert 404 == asked.get("session", id="../../etc").status_code
    assert [400] * 4 == [asked.post("end-all", subject=each).status_code for each in (1, "", "\ud800", None)]
    plain = asked.client.post("/admin/api/end-all", content=b"subject=1", headers=asked.bearing)
    assert plain.status_code in (400, 415)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(f"sqlite:///{tmp_path_factory.mktemp('asked') / 'app.db'}") as service:
        yield Browser(service, service.operator)


def test_setting_is_checked() -> None:
    """Another word than the three is refused with what to write."""
    assert "auto" == read({}).settings.admin
    with pytest.raises(Exception, match="invalid admin 'yes': write auto, on or off"):
        read({"admin": "yes"})


def test_quantiles() -> None:
    """As Prometheus estimates them: evenly within a bucket, and never beyond the last bound."""
    times = [0] * 14
    assert quantile(times, 0.5) is None
    times[3] = 10
    assert (7.5, 10) == (quantile(times, 0.5), quantile(times, 1.0))
    times[13] = 10
    assert (10, 10_000) == (quantile(times, 0.5), quantile(times, 0.99))


def test_counts_stay_bounded() -> None:
    """Days of records of many processes leave one total for each interval, and no process that is gone."""
    minutes, start = Minutes(), 1_800_000_000_000
    for hour in range(50):
        records = tuple(
            AuditRecord(
                start + hour * HOUR + number * MINUTE, f"{hour:08x}{number:08x}", MINUTE_COUNTS, reason='{"held":1}'
            )
            for number in range(60)
        )
        flow = minutes.read(start + (hour + 1) * HOUR)
        next(flow)
        with pytest.raises(StopIteration):
            flow.send(records)
    assert len(minutes._totals["hour"]) <= 62
    assert len(minutes._totals["day"]) <= 146
    assert len(minutes._latest) <= 25
    assert len(minutes._seen) <= 300
    assert [1] == list({count for count in minutes.plot("hour", start + 50 * HOUR)["events"]["held"] if count})
    assert DAY // MINUTE == pytest.approx(sum(minutes.plot("day", start + 50 * HOUR)["events"]["held"]), abs=11)
