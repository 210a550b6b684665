"""The rotation rule, row by row, and the same rule turned around for the store."""

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass import Daypass, TokenRejected, User, flows
from daypass.refresh_token import decode, encode
from daypass.rotation import (
    ISSUING,
    NEVER_ROTATED,
    TABLE,
    Age,
    Expectation,
    Relation,
    Verdict,
    expectation,
    is_current,
    is_proven,
    judge,
    position_after,
    relate,
)
from daypass.testing import Clock

W = 30_000
NOW = 1_800_000_000_000


@dataclass(frozen=True)
class Stored:
    generation: int
    branch: bytes
    rotated_at: int
    key_thumbprint: str | None = None


@dataclass(frozen=True)
class Shown:
    generation: int
    branch: bytes
    parent: bytes


SESSION = Stored(5, b"five", NOW)
SUCCESSOR = Shown(6, b"six", b"five")
SAME = Shown(5, b"five", b"four")
FUTURE = Shown(7, b"seven", b"six")
MANY = 1_000_002
OLDER = Shown(4, b"four", b"three")
DEAD_BRANCH = Shown(5, b"FIVE", b"four")
DEAD_SUCCESSOR = Shown(6, b"SIX", b"FIVE")

ROWS = [
    (SUCCESSOR, W, Verdict.HOLD),
    (SUCCESSOR, W + 1, Verdict.ROTATE),
    (SAME, W, Verdict.REPEAT),
    (SAME, W + 1, Verdict.BRANCH),
    (FUTURE, W, Verdict.HEAL),
    (FUTURE, W + 1, Verdict.HEAL),
    (OLDER, W, Verdict.STALE),
    (OLDER, W + 1, Verdict.REUSE),
    (DEAD_BRANCH, W, Verdict.STALE),
    (DEAD_BRANCH, W + 1, Verdict.REUSE),
    (DEAD_SUCCESSOR, W, Verdict.STALE),
    (DEAD_SUCCESSOR, W + 1, Verdict.REUSE),
]

few_branches = st.sampled_from([b"a", b"b", b"c"])
times = st.integers(min_value=0, max_value=2**53)
near_times = st.integers(min_value=0, max_value=12)
generations = st.integers(min_value=0, max_value=2**32 - 1)
near_generations = st.integers(min_value=0, max_value=4)
positions = st.one_of(
    st.builds(Stored, near_generations, few_branches, near_times), st.builds(Stored, generations, few_branches, times)
)
tokens = st.one_of(
    st.builds(Shown, near_generations, few_branches, few_branches),
    st.builds(Shown, generations, few_branches, few_branches),
)
moments = st.one_of(near_times, times)
graces = st.one_of(st.integers(min_value=0, max_value=6), st.integers(min_value=0, max_value=10**9))


def matches(position: Stored, expected: Expectation) -> bool:
    """Do as every store does with an `Advance` of a live session."""
    return (position.generation, position.branch) == (expected.generation, expected.branch) and (
        position.rotated_at < expected.rotated_before
    )


@pytest.mark.parametrize(("token", "age", "verdict"), ROWS)
def test_each_row_of_the_table(token: Shown, age: int, verdict: Verdict) -> None:
    """Each relation, at the last moment within the grace period and at the first one after it, has its verdict."""
    assert verdict == judge(SESSION, token, NOW + age, W)


@pytest.mark.parametrize(("token", "age", "verdict"), ROWS)
def test_each_row_of_the_table_after_many_refreshes(token: Shown, age: int, verdict: Verdict) -> None:
    """The same for a session of a million generations; numbers and bytes are compared by their value."""
    session = replace(SESSION, generation=SESSION.generation + MANY)
    shown = Shown(token.generation + MANY, bytes(bytearray(token.branch)), bytes(bytearray(token.parent)))
    assert verdict == judge(session, shown, NOW + age, W)
    assert (verdict is Verdict.ROTATE) == matches(session, expectation(shown, NOW + age, W))


@pytest.mark.parametrize(
    ("generation", "verdict"), [(3, Verdict.STALE), (2, Verdict.REUSE), (1, Verdict.REUSE), (0, Verdict.REUSE)]
)
def test_a_token_of_three_generations_ago_is_reuse_at_once(generation: int, verdict: Verdict) -> None:
    """Within the grace period, a token two generations behind may be late; an older one is reused."""
    for more in (0, MANY):
        session = replace(SESSION, generation=SESSION.generation + more)
        assert verdict is judge(session, Shown(generation + more, b"old", b"older"), NOW, W)


@pytest.mark.parametrize("branch", [b"fivd", b"fivf"])
def test_another_branch_makes_a_token_an_older_one(branch: bytes) -> None:
    """Whether it sorts before or after the stored branch, the token and its successor are on an abandoned one."""
    assert Relation.PAST is relate(SESSION, replace(SAME, branch=branch))
    assert Relation.PAST is relate(SESSION, replace(SUCCESSOR, parent=branch))


@pytest.mark.parametrize("generation", [4, 6])
def test_the_branch_alone_does_not_make_a_token_the_same(generation: int) -> None:
    """A token with the stored branch and another generation is an older one, or on an abandoned branch."""
    assert Relation.PAST is relate(SESSION, Shown(generation, SESSION.branch, b"other"))


def test_a_held_token_is_current_if_it_has_the_branch_of_the_successor() -> None:
    """Only the same branch counts: one that sorts before or after it is an older sibling."""
    assert is_current(SUCCESSOR, replace(SUCCESSOR, branch=bytes(bytearray(b"six"))))
    assert not is_current(replace(SUCCESSOR, branch=b"siw"), SUCCESSOR)
    assert not is_current(replace(SUCCESSOR, branch=b"siy"), SUCCESSOR)


def test_a_bound_session_needs_the_proof_of_its_own_key() -> None:
    """The thumbprint is compared as text; a session that is not bound needs none."""
    bound = replace(SESSION, key_thumbprint="thumbprint")
    assert is_proven(bound, "-".join(["thumbprint"])) is is_proven(bound, "".join(["thumb", "print"])) is True
    assert [False, False, False] == [is_proven(bound, proof) for proof in (None, "thumb", "thumbprint-")]
    assert is_proven(SESSION, None)
    assert is_proven(SESSION, "any")


def test_the_table_is_complete() -> None:
    """There is a verdict for each pair of relation and age, and each verdict is reached by the rows above."""
    assert {(relation, age) for relation in Relation for age in Age} == set(TABLE)
    assert set(Verdict) - {Verdict.UNPROVEN} == {verdict for _, _, verdict in ROWS} == set(TABLE.values())


@pytest.mark.parametrize("token", [SUCCESSOR, SAME, FUTURE, OLDER, DEAD_BRANCH, DEAD_SUCCESSOR])
@pytest.mark.parametrize("age", [-1, -5_000, -(10**12)])
@pytest.mark.parametrize("grace_period", [0, W])
def test_a_time_before_the_last_rotation_is_within(token: Shown, age: int, grace_period: int) -> None:
    """A node whose clock is behind holds, repeats or says stale: it never branches or revokes for that."""
    assert TABLE[relate(SESSION, token), Age.WITHIN] == judge(SESSION, token, NOW + age, grace_period)


@pytest.mark.parametrize(("age", "verdict"), [(0, Verdict.STALE), (1, Verdict.REUSE)])
def test_without_grace_the_same_millisecond_alone_is_within(age: int, verdict: Verdict) -> None:
    """Strict mode: a replaced token is reuse from the next millisecond on."""
    assert verdict == judge(SESSION, OLDER, NOW + age, 0)


@given(now=st.integers(min_value=W + 1), token=tokens)
def test_a_first_refresh_is_not_held_back(now: int, token: Shown) -> None:
    """A session that was never rotated rotates at once, whatever the grace period up to the time itself."""
    session = Stored(0, b"zero", NEVER_ROTATED)
    assert Verdict.ROTATE == judge(session, Shown(1, token.branch, b"zero"), now, W)


@given(position=positions, token=tokens, now=moments, grace_period=graces)
def test_the_expectation_is_the_rule_turned_around(position: Stored, token: Shown, now: int, grace_period: int) -> None:
    """A store's one conditional write moves a session exactly when the rule says *rotate*."""
    rotates = judge(position, token, now, grace_period) is Verdict.ROTATE
    assert rotates == matches(position, expectation(token, now, grace_period))


def test_an_expectation_is_a_value() -> None:
    """Two with the same fields are equal and have the same hash, and none can be changed."""
    one, other = (expectation(SUCCESSOR, NOW, W) for _ in range(2))
    assert {one} == {other}
    with pytest.raises(FrozenInstanceError):
        one.generation = 7  # type: ignore[misc]  # on purpose


@given(position=positions, token=tokens, now=moments, grace_period=graces)
def test_only_rotate_and_heal_and_branch_move(position: Stored, token: Shown, now: int, grace_period: int) -> None:
    """The other verdicts leave the position as it is, and no verdict takes a session back."""
    verdict = judge(position, token, now, grace_period)
    after = position_after(position, token, verdict, now)
    before = (position.generation, position.branch, position.rotated_at)
    if verdict in (Verdict.ROTATE, Verdict.HEAL):
        assert (token.generation, token.branch, now) == after
    elif verdict is Verdict.BRANCH:
        assert (position.generation, position.branch, now) == after
    else:
        assert before == after
    assert position.generation <= after[0]


@given(position=positions, token=tokens, now=moments, grace_period=graces)
def test_a_presented_token_is_then_the_stored_one(position: Stored, token: Shown, now: int, grace_period: int) -> None:
    """A token that rotated or healed gets the same answer when it is sent again: a retry has no cost."""
    verdict = judge(position, token, now, grace_period)
    if verdict in (Verdict.ROTATE, Verdict.HEAL, Verdict.BRANCH):
        after = Stored(*position_after(position, token, verdict, now))
        assert Verdict.REPEAT == judge(after, token, now, grace_period)


@pytest.mark.parametrize("verdict", sorted(ISSUING))
def test_only_a_listed_verdict_gives_tokens(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that is not in the list gives nothing, whatever else is written for it."""
    monkeypatch.setattr(flows, "ISSUING", ISSUING - {verdict})
    given: list[str] = []
    with pytest.raises(TokenRejected, match="gives no tokens"):
        _meet_every_verdict(given)
    assert verdict not in given


def _meet_every_verdict(given: list[str]) -> None:
    """Refresh by each issuing verdict in turn, and note which have given tokens."""
    clock = Clock()
    auth = Daypass("memory:", issuer="https://issuer.example", load_user=User, clock=clock)
    first = auth.start(User("1")).refresh_token
    second = auth.refresh(first).refresh_token
    given.append("rotated")
    auth.refresh(first)
    given.append("repeated")
    auth.refresh(second)
    given.append("held")
    clock.advance(30_001)
    auth.refresh(first)
    given.append("branched")
    keys = auth.run(auth._upkeep.keys(clock.now)).refresh_keys
    auth.refresh(encode(replace(decode(first, keys), generation=9), keys[0]))
    given.append("healed")


def test_verdicts_are_either_issuing_or_refusing() -> None:
    """The table has only these seven verdicts, of which five issue tokens; one is checked before the table."""
    assert {Verdict.STALE, Verdict.REUSE} == set(TABLE.values()) - ISSUING
    assert {Verdict.STALE, Verdict.REUSE, Verdict.UNPROVEN} == set(Verdict) - ISSUING


@given(position=positions, token=tokens, now=moments, grace_period=graces, proof=st.sampled_from([None, "", "other"]))
def test_without_its_proof_a_bound_session_stays_as_it_is(
    position: Stored, token: Shown, now: int, grace_period: int, proof: str | None
) -> None:
    """Without a proof, no token gets anything, and the position stays."""
    bound = replace(position, key_thumbprint="key")
    assert judge(bound, token, now, grace_period, proof) is Verdict.UNPROVEN
    before = (position.generation, position.branch, position.rotated_at)
    assert before == position_after(bound, token, Verdict.UNPROVEN, now)


@given(position=positions, token=tokens, now=moments, grace_period=graces)
def test_with_its_proof_a_bound_session_is_judged_like_any(
    position: Stored, token: Shown, now: int, grace_period: int
) -> None:
    """With the proof the verdict is the one that the same session would get if it were not bound."""
    bound = replace(position, key_thumbprint="key")
    assert judge(position, token, now, grace_period) is judge(bound, token, now, grace_period, "key")
