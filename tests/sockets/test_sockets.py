"""A short version of the campaign, with thirty sockets."""

import asyncio

from .campaign import Scale, campaign


def test_open_sockets_outlive_their_tokens_and_end_with_their_sessions() -> None:
    """Over two expiries no socket is dropped. Those of ended sessions, and no others, are closed with 4403."""
    scale = Scale(sockets=30, lifetime=6, expiries=2, endings=10)
    report = asyncio.run(campaign(scale, memory=False))
    assert (30, [], 0, 10) == (report.opened, report.dropped, report.not_closed, len(report.closed_after))
    assert report.accepted >= 30
