"""A short form of the campaign: what holds for ten thousand sockets holds for thirty."""

import asyncio

from .campaign import Scale, campaign


def test_open_sockets_outlive_their_tokens_and_end_with_their_sessions() -> None:
    """Over two expiries no socket is dropped; each one of an ended session is closed with 4403, and no other."""
    scale = Scale(sockets=30, lifetime=6, expiries=2, endings=10)
    report = asyncio.run(campaign(scale, memory=False))
    assert (30, [], 0, 10) == (report.opened, report.dropped, report.not_closed, len(report.closed_after))
    assert report.accepted >= 30
