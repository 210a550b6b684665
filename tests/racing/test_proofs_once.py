"""Many nodes get copies of one DPoP proof at the same time: one of them accepts it."""

from collections import Counter

from daypass import ProofRejected

from ..dpop.signing import Signer
from .calls import START, Prove
from .presenters import Threads
from .world import World

URL = "https://issuer.example/payments"


def test_one_of_many_copies_is_accepted(world: World) -> None:
    """A hundred copies of a proof reach all nodes of a store at once: it is accepted once, and not later either."""
    copies = 32 if type(world.presenters) is Threads else 100
    for _ in range(3):
        proof = Signer().proof("POST", URL, iat=START // 1000)
        outcomes = world.presenters.at_once([Prove(START, node, proof, URL) for node in range(copies)])
        assert {"accepted": 1, ProofRejected: copies - 1} == Counter(outcome.answer for outcome in outcomes)
        late = [Prove(START + 59_000, node, proof, URL) for node in range(world.presenters.nodes)]
        assert {ProofRejected} == {outcome.answer for outcome in world.presenters.one_by_one(late)}
