"""The fate of each message, each node and each user: drawn from a seed, so that a run can be repeated.

No I/O here. Everything is drawn by its own name (`Weather.draw`), not in the order in which things happen, so that two
runs of one seed have the same schedule whatever the machine does meanwhile.
"""

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a storm is; times in seconds.

    Attributes:
        users: honest users, each with one jar.
        tabs: tasks that share a jar and know nothing of each other.
        thefts: how many of the users are stolen from.
        nodes: issuer processes over the one store.
        seconds: how long it lasts; those who have been stolen from stay until the thief is found.
        grace_period: of the issuer.
        patience: how long a client waits for an answer.
        delay: the longest that a request, or its answer, is held up on its way.
        pause: between two refreshes of one tab, on average; as in life, longer than the grace period.
        kill_every: between two kills of a node.
        skew: by how much the clock of the last node is wrong.
        strike_every: between two kills of the database server, where there is one.
    """

    users: int
    tabs: int
    thefts: int
    nodes: int
    seconds: float
    grace_period: float
    pause: float
    kill_every: float
    skew: float
    strike_every: float = 5.0

    @property
    def session_idle_ttl(self) -> float:
        """Of the issuer: users who leave early are seen to be logged out."""
        return self.seconds / 2

    @property
    def patience(self) -> float:
        """A third of the grace period less what clocks differ by: the bound that the rule needs, and has been shown."""
        return (self.grace_period - self.skew) / 3

    @property
    def delay(self) -> float:
        """Request and answer together, and the node's own work, stay within the patience."""
        return self.patience * 0.4

    @property
    def deadline(self) -> float:
        """What one step of a store may take: a request that is held up and needs two is still within the patience."""
        return self.patience * 0.3


LONG = Scale(
    users=2600, tabs=2, thefts=130, nodes=3, seconds=120, grace_period=4.0, pause=9.0, kill_every=5.0, skew=1.0
)
SHORT = Scale(users=60, tabs=2, thefts=8, nodes=3, seconds=8, grace_period=2.0, pause=3.5, kill_every=2.5, skew=0.5)


def beside_a_server(scale: Scale) -> Scale:
    """Return a scale for a machine that runs a database server as well: fewer users, and more patience."""
    return replace(
        scale,
        users=scale.users * 3 // 5,
        thefts=scale.thefts * 3 // 5,
        grace_period=scale.grace_period + 0.5,
        pause=scale.pause + 0.5,
        strike_every=scale.kill_every * 1.2,
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of one request and its answer.

    Attributes:
        node: which node it goes to.
        twin: a node that gets a copy of it as well, or None.
        twin_delay: how long the copy is under way.
        request_lost: it never reaches a node.
        request_delay: how long it is under way.
        answer_lost: the node answers, and nobody hears it.
        answer_cut: half of the answer arrives.
        answer_delay: how long the answer is under way.
    """

    node: int
    twin: int | None
    twin_delay: float
    request_lost: bool
    request_delay: float
    answer_lost: bool
    answer_cut: bool
    answer_delay: float


class Weather:
    """Draws what happens, by name."""

    def __init__(self, seed: int, scale: Scale) -> None:
        self.seed = seed
        self.scale = scale

    def draw(self, *name: object) -> random.Random:
        """Return the randomness of that name, the same in each run of this seed."""
        return random.Random(f"{self.seed}/{'/'.join(map(str, name))}")

    def fate(self, message: str) -> Fate:
        """Draw the fate of a message."""
        luck = self.draw("message", message)
        nodes, longest = self.scale.nodes, self.scale.delay
        return Fate(
            node=luck.randrange(nodes),
            twin=luck.randrange(nodes) if luck.random() < 0.05 else None,
            twin_delay=luck.uniform(0, longest),
            request_lost=luck.random() < 0.03,
            request_delay=luck.uniform(0, longest) if luck.random() < 0.15 else 0,
            answer_lost=luck.random() < 0.05,
            answer_cut=luck.random() < 0.02,
            answer_delay=luck.uniform(0, longest) if luck.random() < 0.15 else 0,
        )

    def kills(self) -> list[tuple[float, int]]:
        """Draw when which node is killed."""
        luck, every = self.draw("kills"), self.scale.kill_every
        return [
            ((number + luck.uniform(0.2, 0.8)) * every, luck.randrange(self.scale.nodes))
            for number in range(int(self.scale.seconds / every))
        ]

    def strikes(self) -> list[tuple[float, float]]:
        """Draw when the database server is killed, and for how long it stays away; half of the times it is not long."""
        luck, every = self.draw("strikes"), self.scale.strike_every
        return [
            ((number + luck.uniform(0.2, 0.8)) * every, max(0.0, luck.uniform(-0.3, 0.3)) * every)
            for number in range(int(self.scale.seconds / every))
        ]
