"""Detects sessions whose refresh tokens are presented twice far more often than lost responses explain.

The rotation rule does not detect a thief who always refreshes within the grace period of an owner who never pauses:
each refresh looks like a repeated request. But then nearly every token is presented twice. An honest client repeats one
when a response was lost: about one in six if 30 % of all messages are lost. What is detected here changes no verdict;
it emits one event, `suspected`.

Memory is bounded, and nothing is written to the store: each process counts the refreshes that it serves. The stored
generation counts the rotations on all nodes, so none is missed.
"""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from daypass.duration import SECOND
from daypass.rotation import Verdict
from daypass.session import Device

FEW, OF_FEW = 14, 16
"""How many of the last tokens must be presented twice to be suspicious; lost responses cause fewer."""

HALF, OF_ALL = 32, 64
"""The same for a session whose refreshes are spread over two nodes, each of which sees half of them."""

OTHER_AGENT = 4
"""So many of the last `OF_ALL` tokens presented again by another user agent: a browser is updated now and then."""

OTHER_NETWORK = 16
"""The same for another network, which phones change often."""

AT_ONCE = 2 * SECOND
"""Tabs of one browser may present the same token within this time; that is not counted where both are known."""

MOST_SESSIONS = 10_000
"""Sessions remembered at once, about 2 MB; then the oldest are forgotten."""

_MASK = (1 << OF_ALL) - 1

Peer = tuple[str | None, str | None]
"""A user agent, and an address or its network; None is unknown."""


@dataclass(slots=True)
class _Counts:
    """What this process knows of one session: bits for each of its last tokens.

    Attributes:
        generation: of the last token.
        twice: whether it was presented twice.
        agents: whether with two user agents.
        networks: whether from two networks.
        told: whether the session was reported.
    """

    generation: int
    twice: int = 0
    agents: int = 0
    networks: int = 0
    told: bool = False

    def move(self, generation: int, *, branched: bool = False) -> None:
        """Move on to the token of ``generation``; forget the oldest."""
        by = min(max(0, generation - self.generation) + branched, OF_ALL)
        self.twice = self.twice << by & _MASK
        self.agents = self.agents << by & _MASK
        self.networks = self.networks << by & _MASK
        self.generation = generation


class Suspicions:
    """The counts of one process; threads may share it: losing a count in a race does no harm."""

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {}
        self._peers: dict[str, Peer] = {}

    def note(
        self, verdict: Verdict, session_id: str, generation: int, age: int | None, device: Device | None
    ) -> str | None:
        """Count a verdict; return why the session is suspicious, the first time that it is.

        Args:
            verdict: the verdict on the presented token.
            session_id: the session of the token.
            generation: the generation of the session after the verdict.
            age: milliseconds since the last rotation.
            device: where the request came from, if known.
        """
        peer = None if device is None else (device.user_agent, device.address)
        if verdict in (Verdict.ROTATE, Verdict.HEAL):
            self._rotated(session_id, generation, peer)
            return None
        if verdict not in (Verdict.REPEAT, Verdict.BRANCH):
            return None
        peer, before = _in_network(peer), _in_network(self._peers.get(session_id))
        if peer is not None and peer == before and age is not None and age < AT_ONCE:
            return None
        counts = self._counts.get(session_id)
        if counts is None:
            counts = self._counts[session_id] = _Counts(generation)
            _bound(self._counts)
        counts.move(generation, branched=verdict is Verdict.BRANCH)
        counts.twice |= 1
        if peer is not None and before is not None:
            counts.agents |= _differ(peer[0], before[0])
            counts.networks |= _differ(peer[1], before[1])
        reason = None if counts.told else _reason(counts)
        counts.told = counts.told or reason is not None
        return reason

    def _rotated(self, session_id: str, generation: int, peer: Peer | None) -> None:
        if peer is not None:
            self._peers.pop(session_id, None)
            self._peers[session_id] = peer
            _bound(self._peers)
        counts = self._counts.get(session_id)
        if counts is not None:
            counts.move(generation)
            if not counts.twice:
                self._counts.pop(session_id, None)


def _reason(counts: _Counts) -> str | None:
    few, half = (counts.twice & ((1 << OF_FEW) - 1)).bit_count(), counts.twice.bit_count()
    if few >= FEW:
        return f"{few} of the last {OF_FEW} refresh tokens were presented twice"
    if half >= HALF:
        return f"{half} of the last {OF_ALL} refresh tokens were presented twice"
    agents, networks = counts.agents.bit_count(), counts.networks.bit_count()
    if agents >= OTHER_AGENT:
        return f"{agents} of the last {OF_ALL} refresh tokens were presented by two user agents"
    if networks >= OTHER_NETWORK:
        return f"{networks} of the last {OF_ALL} refresh tokens were presented from two networks"
    return None


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _in_network(peer: Peer | None) -> Peer | None:
    return None if peer is None else (peer[0], _network(peer[1]))


def _network(address: str | None) -> str | None:
    """Return the network of an address: 24 bits of IPv4, 48 of IPv6."""
    if address is None:
        return None
    try:
        version = ip_address(address).version
        return str(ip_network(f"{address}/{24 if version == 4 else 48}", strict=False))
    except ValueError:
        return address


def _bound(remembered: dict[str, _Counts] | dict[str, Peer]) -> None:
    while len(remembered) > MOST_SESSIONS:
        try:
            remembered.pop(next(iter(remembered)), None)
        except (RuntimeError, StopIteration):  # another thread is doing the same
            return
