"""What `daypass.flows` does with a token is what the explorer explores: verdict, row and answer, case by case."""

from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey

from daypass.drive import run
from daypass.errors import ProofRejected, TokenReused, TokenStale
from daypass.event import Event
from daypass.flow import Step
from daypass.flows import ENTROPY, Call
from daypass.keys import KeyRing, SigningKey
from daypass.policy import Policy
from daypass.proof import Proof
from daypass.refresh_token import encode
from daypass.rotation import TABLE, Verdict, is_proven
from daypass.session import EndReason, Session, Tokens
from daypass.session_extras import Extras, KeyUse
from daypass.steps import Emit, Keys, LoadUser, RefuseSession, StoreClock
from daypass.store_steps import Advance, Advanced, Swap
from daypass.user import User

from .explorer import Case, explore
from .mint import KEY, Row
from .plain_flows import PlainFlows
from .promises import promises_of
from .world import Outcome, World
from .worlds import LOST_WRITES, THIEF

_RING = KeyRing([SigningKey.generate("HS256")], "HS256", [KEY])
_SAMPLES = 20


class _OneRow:
    """Answers a flow's questions about one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.codes: list[str] = []

    def answer(self, step: Step[Any]) -> object:
        match step:
            case Advance():
                return self._advance(step)
            case Swap():
                self.session = step.new
                return True
            case Emit(Event(code=code)):
                self.codes.append(code)
                return None
            case LoadUser():
                return User(step.subject)
            case Keys():
                return _RING
            case StoreClock() | RefuseSession():  # the store has no clock; nothing verifies here
                return None
        raise AssertionError(step)

    def _advance(self, step: Advance) -> Advanced:
        session, expected = self.session, step.expected
        stands = (session.generation, session.branch) == (expected.generation, expected.branch)
        if stands and session.rotated_at < expected.rotated_before and is_proven(session, expected.proof):
            self.session = replace(session, generation=step.generation, branch=step.branch, rotated_at=step.now)
            return Advanced(self.session, moved=True)
        return Advanced(session, moved=False)


def _met(world: World) -> dict[Case, list[tuple[Row, int, int, Outcome]]]:
    """Return some of what the server decided in ``world``, for each row of the table."""
    met: dict[Case, list[tuple[Row, int, int, Outcome]]] = {}
    assert explore(world, promises_of(world)).broken is None
    for (row, token, clock, _), outcome in world.decided.items():
        samples = met.setdefault((*outcome.case, outcome.verdict), [])
        if len(samples) < _SAMPLES:
            samples.append((row, token, clock, outcome))
    return met


_PROOF = Proof.of(ECKey.generate_key("P-256").as_dict(private=False), KeyUse.DPOP)

KINDS: dict[str, tuple[dict[str, Any], bool]] = {
    "persistent": ({}, False),
    "not remembered": ({"idle_ttl": 5, "ends_at": 10**9, "extras": '{"p":0}'}, False),
    "passive": ({}, True),
    "bound": ({"extras": Extras(key=_PROOF.key).text, "key_thumbprint": _PROOF.thumbprint}, False),
}
"""A session's own data, and whether the refresh is passive: the rule is the same for all."""


def _refreshed(world: World, row: Row, token: int, clock: int, kind: str) -> tuple[_OneRow, Tokens | None]:
    own, passive = KINDS[kind]
    presented = world.mint.tokens[token]
    position = world.mint.position(row)
    session = Session(presented.session_id, "s", "c", *position[:3], created_at=clock, expires_at=2 * clock, **own)
    store = _OneRow(session)
    flows = PlainFlows(Policy(grace_period=world.grace))
    try:
        call, proof = Call(clock, bytes(ENTROPY)), _PROOF if kind == "bound" else None
        tokens = run(flows.refresh(presented, call, passive=passive, proof=proof), store.answer)
    except (TokenStale, TokenReused):
        return store, None
    return store, tokens


@pytest.fixture(scope="module")
def worlds() -> list[tuple[World, dict[Case, list[tuple[Row, int, int, Outcome]]]]]:
    return [(world, _met(world)) for world in (World(LOST_WRITES), World(THIEF))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relation", "age"), TABLE)
def test_flows_decide_and_write_as_explored(relation: Any, age: Any, worlds: Any, kind: str) -> None:
    """For each row of the table: the same verdict, the same row written; only *reuse* revokes the session."""
    samples = [
        (world, *sample) for world, met in worlds for sample in met.get((relation, age, TABLE[relation, age]), [])
    ]

    assert samples
    for world, row, token, clock, outcome in samples:
        store, _ = _refreshed(world, row, token, clock, kind)
        after = world.mint.row(store.session.generation, store.session.branch, store.session.rotated_at)
        assert outcome.row == after
        assert str(outcome.verdict) in store.codes
        assert (store.session.end_reason is EndReason.REUSE) == (outcome.verdict is Verdict.REUSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("relation", "age"), TABLE)
def test_flows_answer_as_explored(relation: Any, age: Any, worlds: Any, kind: str) -> None:
    """For each row of the table: the same refresh token is given, and none where the jar is to stay as it is."""
    for world, met in worlds:
        for row, token, clock, outcome in met.get((relation, age, TABLE[relation, age]), []):
            _, tokens = _refreshed(world, row, token, clock, kind)
            given = tokens.refresh_token if tokens is not None and tokens.replaces else None
            silent = outcome.answer is None or world.keeps_jar(outcome)
            assert (None if silent else encode(world.mint.tokens[outcome.answer], KEY)) == given


@pytest.mark.parametrize(("relation", "age"), TABLE)
def test_flows_change_nothing_without_a_proof(relation: Any, age: Any, worlds: Any) -> None:
    """For each row of the table: a bound session's token without a proof gets nothing and changes nothing."""
    for world, met in worlds:
        for row, token, clock, _ in met.get((relation, age, TABLE[relation, age]), []):
            presented, position = world.mint.tokens[token], world.mint.position(row)
            generation, branch, rotated_at, _ = position
            session = Session(presented.session_id, "s", "c", generation, branch, rotated_at, clock, 2 * clock)
            session = replace(session, **KINDS["bound"][0])
            store = _OneRow(session)
            flows = PlainFlows(Policy(grace_period=world.grace))
            with pytest.raises(ProofRejected):
                run(flows.refresh(presented, Call(clock, bytes(ENTROPY)), passive=False), store.answer)
            assert session == store.session
            assert ["proof_refused"] == store.codes
