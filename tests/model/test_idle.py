"""The idle clock: no user is logged out early, no session lasts too long, and polling does not keep it alive."""

from dataclasses import replace
from typing import Any

import pytest

from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.refresh_token import RefreshToken
from daypass.rotation import Verdict
from daypass.session import Session, Tokens
from daypass.store_steps import next_expiry

from .idle import KINDS, POLICY, Ask, explore
from .plain_flows import PlainFlows

DEPTH = 4
"""Refreshes in the tests; `make model` explores to the end."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_ends_when_nobody_was_there_for_its_idle_time(kind: str) -> None:
    """Whatever the order of active and passive refreshes, of late ones and of those that are sent again."""
    found = explore(KINDS[kind], depth=DEPTH)
    assert (None, ()) == (found.broken, found.trace)
    assert found.refreshes > 2_500


def _always_active(flows: Flows, token: RefreshToken, call: Call, passive: bool) -> Flow[Tokens]:  # noqa: FBT001 - of `Ask`
    return flows.refresh(token, call, passive=False)


def _always_passive(flows: Flows, token: RefreshToken, call: Call, passive: bool) -> Flow[Tokens]:  # noqa: FBT001
    return flows.refresh(token, call, passive=True)


class _Forgetful(PlainFlows):
    """Lets an active refresh within the grace period of a passive one change nothing."""

    def _after(self, found: Session, token: RefreshToken, verdict: Verdict, *others: Any, passive: bool) -> Session:
        after = super()._after(found, token, verdict, *others, passive=passive)
        return found if verdict in (Verdict.HOLD, Verdict.REPEAT) else after


def _forgetful(_: Flows, token: RefreshToken, call: Call, passive: bool) -> Flow[Tokens]:  # noqa: FBT001
    return _Forgetful(POLICY).refresh(token, call, passive=passive)


class _Generous(PlainFlows):
    """Gives each session the policy's time."""

    def _after(
        self, found: Session, token: RefreshToken, verdict: Verdict, now: int, *others: Any, **how: Any
    ) -> Session:
        after = super()._after(found, token, verdict, now, *others, **how)
        times = POLICY.idle_ttl, POLICY.absolute_ttl
        return replace(after, expires_at=next_expiry(replace(found, idle_ttl=None), now, *times))


def _generous(_: Flows, token: RefreshToken, call: Call, passive: bool) -> Flow[Tokens]:  # noqa: FBT001
    return _Generous(POLICY).refresh(token, call, passive=passive)


@pytest.mark.parametrize(
    ("broken", "ask"),
    [
        ("moved by", _always_active),
        ("moved to", _always_passive),
        ("moved to", _forgetful),
        ("moved to", _generous),
    ],
)
def test_a_broken_rule_is_found(broken: str, ask: Ask) -> None:
    """The explorer finds what breaks the rule."""
    assert (explore(KINDS["not remembered"], ask, DEPTH).broken or "").startswith(broken)
