"""A vault on real PostgreSQL and Redis: connections are kept, shown, refreshed once, moved nowhere, and revoked."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import httpx2
import pytest

from daypass.client.httpx import DaypassAuth
from daypass.client.vault import AsyncVault, State, Vault, VaultEvent, VaultEventKind
from daypass.client.vault.rows import open_rows
from daypass.duration import MINUTE
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

from .conftest import OLD, SECRET, Open, Provider, auth_of

SOON = 0.5
"""An `idle_ttl` in seconds, half of which has passed in a moment."""


def kinds(events: list[VaultEvent]) -> list[str]:
    return [event.kind.value for event in events]


def test_a_connection_is_shared_by_many_workers(opened: Open, provider: Provider) -> None:
    """Workers with a vault each: the expired token is refreshed once, and all requests are answered."""
    opened().put("acme", "one", refresh_token=provider.grant("one"))
    auths = [auth_of(opened(), provider, "one") for _ in range(6)]

    def call(auth: DaypassAuth) -> int:
        with httpx2.Client(base_url=provider.url) as client:
            return client.get("/me", auth=auth).status_code

    with ThreadPoolExecutor(len(auths)) as threads:
        assert [200] * 6 == list(threads.map(call, auths))
    assert 1 == provider.server.counts["refreshes"]
    shown = opened().show("acme", "one")
    assert shown is not None
    assert (State.LIVE, None, 1) == (shown.state, shown.last_error, shown.refreshes)
    assert 14 * MINUTE < (shown.expires_at or 0) - (shown.refreshed_at or 0) <= 15 * MINUTE


def test_an_access_token_that_was_put_is_used(vault: Vault, provider: Provider) -> None:
    """A grant with an access token needs no refresh until it expires."""
    vault.put("acme", "one", refresh_token=provider.grant("one"), access_token="acc3ss", expires_in=60)
    assert "acc3ss" == auth_of(vault, provider, "one").token()
    assert 0 == provider.server.counts["refreshes"]


def test_connections_are_listed_by_provider(vault: Vault, provider: Provider) -> None:
    """All of them, each once, whatever their number and names; a provider whose name begins alike is another one."""
    names = {f"tenant-{number}/ü {number % 7}" for number in range(450)}
    for name in names:
        vault.put("acme", name, refresh_token="r")
    vault.put("acme-eu", "one", refresh_token="r")
    vault.put("abc", "one", refresh_token="r")
    found = list(vault.connections("acme"))
    assert (450, names) == (len(found), {each.name for each in found})
    everything = [(each.provider, each.name) for each in vault.connections()]
    assert 452 == len(everything) == len(set(everything))
    assert [] == list(vault.connections("nobody"))


@pytest.mark.parametrize(
    ("provider_name", "name"), [("", "one"), ("a/b", "one"), ("acme", ""), ("acme", "a\nb"), ("acme", "x" * 600)]
)
def test_an_invalid_name_is_refused(vault: Vault, provider_name: str, name: str) -> None:
    """A name is what can be shown in one line; nothing is written."""
    with pytest.raises(ConfigurationError, match=r"invalid|too long"):
        vault.put(provider_name, name, refresh_token="r")
    assert [] == list(vault.connections())


@pytest.mark.parametrize("tokens", [{"refresh_token": "a b"}, {"refresh_token": ""}, {"refresh_token": None},
                                    {"refresh_token": "r", "access_token": "s3cr3t\n"}])  # fmt: skip
def test_a_token_that_cannot_be_sent_is_refused(vault: Vault, tokens: dict[str, str]) -> None:
    """The message names the token's kind, and does not repeat it."""
    with pytest.raises(ConfigurationError, match="visible ASCII") as caught:
        vault.put("acme", "one", **tokens)  # type: ignore[arg-type]  # the test is about this
    assert "s3cr3t" not in str(caught.value)


def test_a_row_that_was_moved_is_refused(vault: Vault, url: str, provider: Provider) -> None:
    """A row that is copied to another connection is not used there; the other one still works."""
    vault.put("acme", "mine", refresh_token=provider.grant("mine"))
    vault.put("acme", "yours", refresh_token=provider.grant("yours"))
    rows = open_rows(url)
    mine, yours = rows.read("acme/mine")[0], rows.read("acme/yours")[0]
    assert mine is not None
    assert yours is not None
    assert rows.swap("acme/mine", mine.revision, replace(yours, revision="moved"))
    with pytest.raises(ConfigurationError, match="acme/mine was damaged, or belongs to another connection"):
        auth_of(vault, provider, "mine")
    assert auth_of(vault, provider, "yours").token()
    assert 1 == provider.server.counts["refreshes"]
    rows.close()


def test_another_secret_opens_nothing(opened: Open, provider: Provider) -> None:
    """With a wrong secret nothing is sent or changed, and the error says which secret is missing."""
    opened().put("acme", "one", refresh_token=provider.grant("one"))
    wrong = opened(OLD)
    with pytest.raises(ConfigurationError, match=r"sealed under another secret \(key .*secret=\[new, old\]"):
        auth_of(wrong, provider, "one")
    shown = wrong.show("acme", "one")
    assert shown is not None
    assert "1 of 1" == f"{wrong.rewrap().failed} of {wrong.rewrap().seen}"
    assert 0 == provider.server.counts["refreshes"]
    assert auth_of(opened(), provider, "one").token()


def test_a_login_replaces_a_row_that_nobody_can_open(opened: Open, provider: Provider) -> None:
    """When a secret is lost, a new login is all that is needed."""
    opened(OLD).put("acme", "one", refresh_token=provider.grant("one"))
    vault = opened()
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    assert auth_of(vault, provider, "one").token()


def test_secrets_are_rotated_while_workers_refresh(opened: Open, provider: Provider) -> None:
    """Rewrapped in the middle of refreshes: no refresh is lost, and the old secret is not needed afterwards."""
    provider.server.expires_in = 0.05
    names = [f"tenant-{number}" for number in range(12)]
    old = opened(OLD)
    for name in names:
        old.put("acme", name, refresh_token=provider.grant(name))
    stop = threading.Event()

    def work(name: str) -> int:
        auth, calls = auth_of(opened([OLD, SECRET]), provider, name), 0
        while not stop.is_set():
            assert auth.token(good_for=0)
            calls += 1
            time.sleep(random.random() / 50)
        return calls

    with ThreadPoolExecutor(len(names)) as threads:
        working = [threads.submit(work, name) for name in names]
        time.sleep(0.3)
        progress: list[int] = []
        new = opened([SECRET, OLD])
        first = new.rewrap(on_progress=lambda done: progress.append(done.seen))
        stop.set()
        assert all(each.result() for each in working)
    assert (len(names), 0) == (first.seen, first.failed)
    assert [12] == progress[-1:]
    new.rewrap()  # workers had the older secret first, and sealed with it
    assert 0 == new.rewrap().rewrapped
    assert 0 == provider.server.counts["reused"]
    after = opened(SECRET)
    assert [True] * 12 == [bool(auth_of(after, provider, name).token()) for name in names]


def test_a_rewrap_goes_on_where_it_was_interrupted(opened: Open) -> None:
    """Rewrapped rows are not done again; another machine does the rest."""
    old = opened(OLD)
    for number in range(500):
        old.put("acme", f"tenant-{number}", refresh_token="r")
    stop = threading.Event()
    first = opened([SECRET, OLD]).rewrap(on_progress=lambda done: stop.set(), stop=stop)
    assert 0 < first.rewrapped < 500
    second = opened([SECRET, OLD]).rewrap()
    assert (500, 500 - first.rewrapped) == (second.seen, second.rewrapped)


def test_a_rejected_connection_needs_a_login(vault: Vault, provider: Provider, events: list[VaultEvent]) -> None:
    """The state says so, with the reason; there is one event, and a new login makes it live again."""
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    provider.server.end_sessions()
    for _ in range(3):
        with pytest.raises(LoginRequired):
            auth_of(vault, provider, "one").token()
    shown = vault.show("acme", "one")
    assert shown is not None
    assert (State.NEEDS_LOGIN, "the refresh was rejected (400 invalid_grant)") == (shown.state, shown.reason)
    assert ["put", "needs_login"] == kinds(events)
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    shown = vault.show("acme", "one")
    assert shown is not None
    assert (State.LIVE, None) == (shown.state, shown.reason)
    assert auth_of(vault, provider, "one").token()


def test_a_connection_says_while_it_is_refreshed(vault: Vault, provider: Provider) -> None:
    """The state is ``refreshing`` while a machine has the turn."""
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    provider.server.gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(auth_of(vault, provider, "one").token)
        assert provider.server.refreshing.wait(10)
        shown = vault.show("acme", "one")
        assert shown is not None
        assert State.REFRESHING == shown.state
        provider.server.gate.set()
        assert pending.result()


def test_a_removed_connection_is_revoked(vault: Vault, provider: Provider, events: list[VaultEvent]) -> None:
    """The newest refresh token is revoked at the provider, and the row is gone; a second time it is an error."""
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    auth_of(vault, provider, "one").token()
    newest = provider.newest("one")
    assert (True, None) == ((done := vault.remove("acme", "one")).revoked, done.reason)
    assert [newest] == provider.server.forms[-1]["token"]
    assert vault.show("acme", "one") is None
    assert [] == list(vault.connections())
    assert ["put", "refreshed", "removed"] == kinds(events)
    with pytest.raises(ConfigurationError, match="there is no connection 'acme/one'"):
        vault.remove("acme", "one")


def test_a_connection_is_removed_when_the_provider_is_down(
    opened: Open, provider: Provider, events: list[VaultEvent]
) -> None:
    """The row is deleted, and an event says what was not revoked; with ``only_if_revoked`` it is kept for a retry."""
    down = provider.client()
    down._metadata = replace(down._metadata, revocation="http://127.0.0.1:1/revoke")  # type: ignore[type-var]
    vault = opened(providers={"acme": down}, on_event=events.append)
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    with pytest.raises(RefreshUnavailable, match=r"acme/one was not revoked, and is kept: .*Connection refused"):
        vault.remove("acme", "one", only_if_revoked=True)
    shown = vault.show("acme", "one")
    assert shown is not None
    assert State.LIVE == shown.state
    assert auth_of(vault, provider, "one").token()
    removed = vault.remove("acme", "one")
    assert (False, True) == (removed.revoked, "Connection refused" in str(removed.reason))
    assert vault.show("acme", "one") is None
    assert ["put", "not_revoked", "refreshed", "not_revoked", "removed"] == kinds(events)


@pytest.mark.parametrize("known", [True, False])
def test_a_connection_of_a_provider_that_cannot_revoke_is_removed(
    opened: Open, provider: Provider, *, known: bool
) -> None:
    """Without a revocation endpoint, or without the provider, the row is deleted and the reason reported."""
    vault = opened(providers={"acme": provider.client(revokes=False)} if known else {})
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    removed = vault.remove("acme", "one")
    assert not removed.revoked
    assert removed.reason in (
        "the provider refused, or has no endpoint for it (RFC 7009)",
        "no provider of that name is configured",
    )


def test_a_removal_waits_for_a_refresh(vault: Vault, provider: Provider) -> None:
    """The revoked token is the one that the running refresh brings, not the one that it has used up."""
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    provider.server.gate = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        refreshing = threads.submit(auth_of(vault, provider, "one").token)
        assert provider.server.refreshing.wait(10)
        removing = threads.submit(vault.remove, "acme", "one")
        time.sleep(0.2)
        assert not removing.done()
        provider.server.gate.set()
        assert refreshing.result()
        assert removing.result().revoked
    assert [provider.newest("one")] == provider.server.forms[-1]["token"]


def test_keepers_refresh_each_idle_connection_once(opened: Open, provider: Provider) -> None:
    """Three machines keep at once: each connection is refreshed once, and none that was used lately."""
    vault = opened()
    for number in range(40):
        vault.put("acme", f"tenant-{number}", refresh_token=provider.grant(f"tenant-{number}"))
    time.sleep(SOON / 2 + 0.05)
    vault.put("acme", "fresh", refresh_token=provider.grant("fresh"))
    provider.server.latency = 0.02
    machines = [opened(idle_ttl=SOON) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        kept = list(threads.map(lambda each: each.keep(batch=5), machines))
    assert 40 <= sum(each.refreshed for each in kept)
    assert (0, 0) == (sum(each.failed for each in kept), sum(each.needs_login for each in kept))
    presented = provider.server.presented
    assert len(presented) == len(set(presented))
    assert {f"tenant-{number}" for number in range(40)} <= {
        name for name, line in provider.server.lines.items() if len(line.tokens) > 1
    }


def test_a_keeper_leaves_what_is_not_due(opened: Open, provider: Provider) -> None:
    """Before half of ``idle_ttl`` has passed, and for tokens that do not die of disuse, nothing is sent."""
    opened().put("acme", "one", refresh_token=provider.grant("one"))
    assert 0 == opened(idle_ttl="60d").keep().refreshed
    assert 0 == opened(idle_ttl=None).keep().refreshed
    assert 0 == provider.server.counts["refreshes"]


def test_a_keeper_stops_at_a_provider_that_is_down(opened: Open, provider: Provider, events: list[VaultEvent]) -> None:
    """After one batch that failed whole, the rest waits; all is still live, and is tried again later."""
    for number in range(9):
        opened().put("acme", f"tenant-{number}", refresh_token=provider.grant(f"tenant-{number}"))
    provider.server.statuses = [503] * 100
    time.sleep(SOON / 2 + 0.05)
    vault = opened(idle_ttl=SOON, on_event=events.append)
    kept = vault.keep(batch=3)
    assert (0, 3, 0) == (kept.refreshed, kept.failed, kept.needs_login)
    assert ["keep_failed"] * 3 == kinds(events)
    assert "503" in str(events[0].reason)
    end = time.monotonic() + 10
    while any(each.state is State.REFRESHING for each in vault.connections()):  # the turn is given back afterwards
        assert time.monotonic() < end
    found = list(vault.connections())
    assert [State.LIVE] * 9 == [each.state for each in found]
    assert 3 == len([each for each in found if each.last_error is not None])
    provider.server.statuses = []
    assert 6 <= vault.keep(batch=3).refreshed  # the other three are held for a while


def test_a_keeper_finds_connections_that_need_a_login(opened: Open, provider: Provider) -> None:
    """They are marked, counted and not tried again."""
    opened().put("acme", "one", refresh_token=provider.grant("one"))
    provider.server.end_sessions()
    time.sleep(SOON / 2 + 0.05)
    vault = opened(idle_ttl=SOON)
    assert (0, 0, 1) == ((kept := vault.keep()).refreshed, kept.failed, kept.needs_login)
    assert 0 == vault.keep().needs_login
    assert {("needs_login", "acme"): 1} == dict(vault.counts)
    assert 'daypass_vault_events_total{event="needs_login",provider="acme"} 1\n' in vault.metrics()


def test_a_keeper_goes_on_until_it_is_stopped(opened: Open, provider: Provider) -> None:
    """With ``every`` it makes a pass now and then; a database that is away for a while does not end it."""
    vault = opened(idle_ttl=SOON)
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        keeping = threads.submit(vault.keep, every=0.1, stop=stop)
        end = time.monotonic() + 20
        while provider.server.counts["rotated"] < 2 and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()
        assert 2 <= keeping.result().refreshed


def test_keep_reports_what_it_needs(opened: Open) -> None:
    """Without providers, or with numbers that make no sense, nothing is done."""
    with pytest.raises(ConfigurationError, match="providers="):
        opened(providers={}).keep()
    with pytest.raises(ConfigurationError, match="above zero"):
        opened().keep(batch=0)


def test_a_lost_answer_is_counted_and_reported_once(vault: Vault, provider: Provider, events: list[VaultEvent]) -> None:
    """A strict provider whose answer was lost refuses the token: the connection says why, and there is one event."""
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    provider.server.lose = 1
    with pytest.raises(RefreshUnavailable):
        auth_of(vault, provider, "one").token()
    with pytest.raises(LoginRequired):
        auth_of(vault, provider, "one").token()
    shown = vault.show("acme", "one")
    assert shown is not None
    assert (State.NEEDS_LOGIN, "lost_answer") == (shown.state, shown.reason)
    assert ["put", "needs_login", "lost_answer"] == kinds(events)
    assert 1 == vault.counts["lost_answer", "acme"]
    assert "lost" in str(vault.remove("acme", "one").reason)


def test_an_event_that_raises_changes_nothing(opened: Open, provider: Provider) -> None:
    """What a callback raises is logged, and the work is done."""

    def fail(event: VaultEvent) -> None:
        raise ValueError(event.kind)

    vault = opened(on_event=fail)
    vault.put("acme", "one", refresh_token=provider.grant("one"))
    assert auth_of(vault, provider, "one").token()
    assert {("put", "acme"): 1, ("refreshed", "acme"): 1} == dict(vault.counts)


async def test_the_async_vault_does_the_same(url: str, provider: Provider) -> None:
    """Each method awaited: put, show, list, keep, rewrap, remove."""
    events: list[VaultEvent] = []
    vault = AsyncVault(url, secret=[SECRET, OLD], providers={"acme": provider.client(SOON)}, on_event=events.append)
    await vault.put("acme", "one", refresh_token=provider.grant("one"))
    assert ["one"] == [each.name async for each in vault.connections()]
    auth = DaypassAuth(provider.url, strategy=provider.client(), storage=vault.connection("acme", "one"))
    async with httpx2.AsyncClient(base_url=provider.url) as client:
        assert 200 == (await client.get("/me", auth=auth)).status_code
    time.sleep(SOON / 2 + 0.05)  # noqa: ASYNC251 - nothing else runs
    assert 1 == (await vault.keep()).refreshed
    assert 1 == (await vault.rewrap()).seen
    shown = await vault.show("acme", "one")
    assert shown is not None
    assert 2 == shown.refreshes
    assert (await vault.remove("acme", "one")).revoked
    assert VaultEventKind.REMOVED == events[-1].kind
    assert 2 == vault.counts["refreshed", "acme"]
    await vault.close()


def test_a_url_of_another_database_is_refused() -> None:
    """The message says what to write, and repeats no password."""
    with pytest.raises(ConfigurationError, match="not the URL of a vault: write postgresql") as caught:
        Vault("mysql://vault:s3cr3t@db/app", secret=SECRET)
    assert "s3cr3t" not in str(caught.value)


def test_a_cluster_keeps_a_vault(redis_cluster: str, provider: Provider) -> None:
    """Rows, index and claims of a bucket are in one slot: all methods work in a Redis Cluster."""
    vault = Vault(redis_cluster, secret=SECRET, providers={"acme": provider.client(SOON)}, prefix="vault-in-a-cluster")
    names = {f"tenant-{number}" for number in range(12)}
    for name in names:
        vault.put("acme", name, refresh_token=provider.grant(name))
    assert names == {each.name for each in vault.connections()} == {each.name for each in vault.connections("acme")}
    time.sleep(SOON / 2 + 0.05)
    assert 12 <= vault.keep().refreshed
    assert auth_of(vault, provider, "tenant-7").token()
    for name in names:
        assert vault.remove("acme", name).revoked
    assert [] == list(vault.connections())
    vault.close()


def test_a_login_wins_over_a_refresh_under_way(vault: Vault, provider: Provider) -> None:
    """The tokens of the new login are kept; the late answer for the old ones is dropped."""
    vault.put("acme", "one", refresh_token=provider.grant("old"))
    provider.server.gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        refreshing = threads.submit(auth_of(vault, provider, "one").token)
        assert provider.server.refreshing.wait(10)
        vault.put("acme", "one", refresh_token=provider.grant("new"), access_token="of-the-new-login", expires_in=60)
        provider.server.gate.set()
        with suppress(LoginRequired, RefreshUnavailable):
            refreshing.result()
    assert "of-the-new-login" == auth_of(vault, provider, "one").token()


def test_a_pass_comes_to_an_end(opened: Open, provider: Provider) -> None:
    """A pass refreshes what was idle when it began, also if that takes longer than a refresh token may be idle."""
    vault = opened(idle_ttl=0.2)
    for number in range(6):
        vault.put("acme", f"tenant-{number}", refresh_token=provider.grant(f"tenant-{number}"))
    time.sleep(0.15)
    provider.server.latency = 0.2
    assert 6 == vault.keep(batch=1, workers=1).refreshed


def test_a_keeper_survives_a_strategy_that_fails(opened: Open, provider: Provider, events: list[VaultEvent]) -> None:
    """A function of the user that raises counts as a failure of that connection; its error's text is not reported."""

    def refresh(refresh_token: str | None) -> str:
        raise ValueError(refresh_token)

    vault = opened(providers={"own": (provider.url, refresh)}, on_event=events.append)
    vault._idle_ttl = lambda provider: 1  # type: ignore[method-assign]  # a function does not say
    vault.put("own", "one", refresh_token="s3cr3t-token")
    time.sleep(0.01)
    assert 1 == vault.keep().failed
    assert "s3cr3t" not in repr(events)
    assert "ValueError" in str(events[-1].reason)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pol_size": 5}, "unknown option 'pol_size': did you mean 'pool_size'"),
        ({"secret": "short"}, "at least 32"),
        ({"providers": {"a/b": None}}, "invalid provider 'a/b'"),
        ({"providers": {"acme": "xero"}}, "invalid provider 'acme'.*strategy"),
        ({"on_event": "print"}, "on_event is a function"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options: dict[str, object], says: str) -> None:
    """At once, by name, before anything is connected to."""
    with pytest.raises(ConfigurationError, match=says):
        Vault("postgresql://vault@127.0.0.1:1/app", **{"secret": SECRET, **options})  # type: ignore[arg-type]
