"""What the demonstration counts: pure, with the time passed in."""

from dataclasses import replace

import pytest

from daypass.client.events import ClientEvent, EventKind
from daypass.demo.tally import Lane, Summary, Tally

TTL = 5_000
GOOD = Summary(requests=10, expiries=2, refreshes=2, replays=1, failures=0, p50_ms=1.0, p99_ms=2.0)


@pytest.fixture
def tally() -> Tally:
    return Tally(started=0)


@pytest.fixture
def ann(tally: Tally) -> Lane:
    return tally.add(Lane("Ann", "works"))


def granted(at: int, kind: EventKind = EventKind.REFRESHED) -> ClientEvent:
    return ClientEvent(kind, at, lifetime=TTL)


@pytest.mark.parametrize(("now", "expiries"), [(0, 0), (4_999, 0), (5_000, 1), (8_999, 1), (9_000, 2), (60_000, 2)])
def test_an_expiry_counts_from_the_moment_it_happens(tally: Tally, ann: Lane, now: int, expiries: int) -> None:
    """A token's expiry is counted when its time is up, whether or not it was replaced before."""
    tally.event(ann, granted(0, EventKind.LOGGED_IN), 0)
    tally.event(ann, granted(4_000), 4_000)

    assert expiries == tally.summary(now).expiries


def test_the_expiries_of_all_users_count(tally: Tally, ann: Lane) -> None:
    """Tokens of different users are counted together."""
    ben = tally.add(Lane("Ben", "works too"))
    tally.event(ann, granted(0), 0)
    tally.event(ben, granted(10), 10)

    assert 2 == tally.summary(TTL + 10).expiries


def test_each_kind_of_event_is_counted_for_itself(tally: Tally, ann: Lane) -> None:
    """Refreshes and replays are the client's events; a login, a 401 and a logout are neither."""
    for kind, times in ((EventKind.LOGGED_IN, 1), (EventKind.UNAUTHORIZED, 4), (EventKind.LOGGED_OUT, 1)):
        for at in range(times):
            tally.event(ann, ClientEvent(kind, at), at)
    for at in range(2):
        tally.event(ann, ClientEvent(EventKind.REFRESHED, at), at)
    for at in range(3):
        tally.event(ann, ClientEvent(EventKind.REPLAYED, at), at)

    summary = tally.summary(10)

    assert (2, 3, 0) == (summary.refreshes, summary.replays, summary.expiries)


def test_a_request_with_a_problem_is_a_failure(tally: Tally, ann: Lane) -> None:
    """Each request counts once; those whose user saw something wrong are failures as well."""
    tally.request(ann, 1, 3.0, None)
    tally.request(ann, 2, 3.0, "status 500")

    summary = tally.summary(3)

    assert (2, 1) == (summary.requests, summary.failures)


def test_the_quantiles_are_of_what_was_measured(tally: Tally, ann: Lane) -> None:
    """Half of the requests took no longer than p50, 99 in 100 no longer than p99, whatever order they came in."""
    for took in reversed(range(1, 1_001)):
        tally.request(ann, 1, float(took), None)

    summary = tally.summary(2)

    assert summary.p50_ms == pytest.approx(500, abs=1)
    assert summary.p99_ms == pytest.approx(990, abs=1)


def test_one_request_is_its_own_quantiles(tally: Tally, ann: Lane) -> None:
    """With a single measurement every quantile is that one, in hundredths of a millisecond."""
    tally.request(ann, 1, 4.5678, None)

    summary = tally.summary(2)

    assert (4.57, 4.57) == (summary.p50_ms, summary.p99_ms)


def test_nothing_yet_is_all_zeros(tally: Tally) -> None:
    """Before the first request every figure is 0, and the verdict is negative."""
    summary = tally.summary(0)

    assert [0] * 7 == list(summary.as_dict().values())
    assert not summary.convincing


def test_the_names_of_the_figures_are_those_promised() -> None:
    """The summary has exactly the figures that `--json` promises, in that order."""
    promised = ["requests", "expiries", "refreshes", "replays", "failures", "p50_ms", "p99_ms"]

    assert promised == list(GOOD.as_dict())


def test_two_expiries_without_a_failure_convince() -> None:
    """It convinces with two expiries or more and no failure; with fewer, or with one failure, it does not."""
    assert GOOD.convincing
    assert replace(GOOD, expiries=50).convincing
    assert not replace(GOOD, expiries=1).convincing
    assert not replace(GOOD, failures=1).convincing


def test_the_share_of_a_token_falls_from_one_to_zero(tally: Tally, ann: Lane) -> None:
    """The timeline shows nothing before the first token, then the share left of the one in use."""
    tally.event(ann, granted(1_000), 1_000)
    tally.event(ann, granted(5_000), 5_000)

    left = [ann.token_left(at) for at in (999, 1_000, 3_500, 5_000, 20_000)]

    assert [None, 1.0, 0.5, 1.0, 0.0] == left


def test_a_span_holds_what_came_after_its_start_up_to_its_end(tally: Tally, ann: Lane) -> None:
    """Adjoining spans of the timeline show each event and each request once."""
    tally.event(ann, ClientEvent(EventKind.REPLAYED, 250), 250)
    tally.request(ann, 250, 1.0, None)

    assert ({EventKind.REPLAYED}, set()) == (ann.happened(0, 250), ann.happened(250, 500))
    assert (True, False) == (ann.asked(0, 250), ann.asked(250, 500))
