"""A short storm for every run of the tests; `make storm` runs a long one."""

import asyncio

import pytest

from .storm import storm
from .weather import SHORT, Weather, beside_a_server


def test_a_storm_logs_no_honest_user_out_and_finds_every_thief() -> None:
    """Nodes are killed, one has a wrong clock; the network loses, repeats, delays and truncates messages.

    No user is logged out without a theft. Every thief is found, and gets no token afterwards.
    A third of the users have sessions that are bound to a key: their thieves get no token, and log nobody out.
    Users who have left are logged out in time, however often their pages poll.
    """
    report = asyncio.run(storm(20261123, SHORT))
    assert [] == report.crowd.kept_late, report.table()
    assert report.crowd.expired > 0, report.table()
    assert ([], [], True) == (report.crowd.logged_out, report.undetected, report.held), report.table()
    assert [] == report.keyless_uses, report.table()
    assert any(theft.bound for theft in report.crowd.thefts.values()), report.table()
    assert report.crowd.unproven > 0, report.table()
    assert report.killed > 0, report.table()
    assert report.befell["answers lost"] > 0, report.table()
    assert len(report.found) > 0, report.table()


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_storm_that_strikes_the_database_server_as_well(store: str) -> None:
    """The same, while the database server is killed repeatedly: it loses no write that it has confirmed."""
    report = asyncio.run(storm(20261123, beside_a_server(SHORT), store))
    assert [] == report.crowd.kept_late, report.table()
    assert ([], [], True) == (report.crowd.logged_out, report.undetected, report.held), report.table()
    assert report.killed > 0, report.table()
    assert report.struck > 0, report.table()
    assert len(report.found) > 0, report.table()


def test_a_seed_repeats_a_runs_schedule() -> None:
    """Two storms with one seed have the same fates and kills; another seed has others."""
    one, same, other = (Weather(seed, SHORT) for seed in (1, 1, 2))
    messages = [f"user-{number}/0/0" for number in range(50)]
    assert [one.fate(message) for message in messages] == [same.fate(message) for message in messages]
    assert [one.fate(message) for message in messages] != [other.fate(message) for message in messages]
    assert one.kills() == same.kills()
    assert one.strikes() == same.strikes() != other.strikes()
