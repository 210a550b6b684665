"""Every short trace of an owner whose session is bound at his first proof, and a thief who copied the jar before."""

from dataclasses import dataclass
from itertools import product

import pytest
from joserfc.jwk import ECKey

from daypass import Daypass, TokenRejected, User
from daypass.duration import MINUTE, SECOND
from daypass.proof import Proof
from daypass.session_extras import KeyUse
from daypass.testing import Clock

ANN = User("7", username="ann")
PROOF = Proof.of(ECKey.generate_key("P-256").as_dict(private=False), KeyUse.DBSC)
MOVES = ("proves", "loses the answer", "thief", "time")
LENGTH = 5


@dataclass
class Trace:
    """One session: the owner's jar, the thief's copy, and what became of both."""

    auth: Daypass
    clock: Clock
    jar: str
    stolen: str
    session_id: str
    bound: bool = False
    thief_was_given: bool = False

    def move(self, name: str) -> None:
        match name:
            case "time":
                self.clock.advance(31 * SECOND)
            case "thief":
                self.thief()
            case _:
                self.owner(lost=name != "proves")

    def owner(self, *, lost: bool) -> None:
        """Refresh with a proof, as the endpoint does: the first one binds the session."""
        try:
            tokens = self.auth.refresh(self.jar, proof=PROOF)
        except TokenRejected:
            assert self.thief_was_given, "an owner is refused whose token no thief has used"
            return
        if tokens.session.key_thumbprint is None:
            self.auth.run(self.auth.flows.bind(self.session_id, PROOF, self.auth.new_call()))
        self.bound = True
        if not lost and tokens.replaces:
            self.jar = tokens.refresh_token

    def thief(self) -> None:
        """Refresh without a proof."""
        before = self.row()
        try:
            tokens = self.auth.refresh(self.stolen)
        except TokenRejected:
            assert not self.bound or before == self.row(), "a thief without the key changes something"
            return
        assert not self.bound, "a thief without the key is given a token"
        self.thief_was_given = True
        self.stolen = tokens.refresh_token if tokens.replaces else self.stolen

    def row(self) -> object:
        return self.auth.run(self.auth.flows.find_live(self.session_id, self.auth.new_call()))


@pytest.fixture(scope="module")
def auth() -> Daypass:
    clock = Clock()
    return Daypass(
        "memory:", issuer="https://api.example.com", load_user={"7": ANN}.get, clock=clock, device_bound=True
    )


@pytest.mark.parametrize("first", MOVES)
def test_from_the_first_proof_on_a_thief_gets_and_changes_nothing(auth: Daypass, first: str) -> None:
    """Whatever came before it. An owner whose token no thief has used is never refused, whatever answers get lost."""
    for rest in product(MOVES, repeat=LENGTH - 1):
        tokens = auth.start(ANN)
        clock = auth._clock
        assert isinstance(clock, Clock)
        clock.advance(MINUTE)
        trace = Trace(auth, clock, tokens.refresh_token, tokens.refresh_token, tokens.session.id)
        for name in (first, *rest):
            trace.move(name)
