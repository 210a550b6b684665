"""The fate of each message, node and user, drawn from a seed, so that a run can be repeated. No I/O.

Every draw has a name (`Weather.draw`) and does not depend on the order of the draws. So two runs with one seed have the
same schedule on any machine.
"""

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a storm. Times are in seconds.

    Attributes:
        users: the number of honest users, each with one jar.
        tabs: the number of independent tasks that share a jar.
        thefts: the number of users whose jar is stolen.
        nodes: the number of issuer processes on the store.
        seconds: the duration; users with a thief go on until the thief is found.
        grace_period: the issuer's grace period.
        patience: how long a client waits for a response.
        delay: the longest delay of a request, and of a response.
        pause: the average time between two refreshes of a tab; longer than the grace period, as in practice.
        kill_every: the time between two kills of a node.
        skew: the error of the last node's clock.
        strike_every: the time between two kills of the database server, if there is one.
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
        """The issuer's idle lifetime: short enough to see that users who leave early are logged out."""
        return self.seconds / 2

    @property
    def patience(self) -> float:
        """The clients' timeout: the longest for which the rule holds, a third of the grace period less `skew`."""
        return (self.grace_period - self.skew) / 3

    @property
    def delay(self) -> float:
        """The longest delay of a message: request, response and the node's work together stay within `patience`."""
        return self.patience * 0.4

    @property
    def deadline(self) -> float:
        """The longest time of a step of a store: a delayed request that needs two steps stays within `patience`."""
        return self.patience * 0.3


LONG = Scale(
    users=2600, tabs=2, thefts=130, nodes=3, seconds=120, grace_period=4.0, pause=9.0, kill_every=5.0, skew=1.0
)
SHORT = Scale(users=60, tabs=2, thefts=8, nodes=3, seconds=8, grace_period=2.0, pause=3.5, kill_every=2.5, skew=0.5)


def beside_a_server(scale: Scale) -> Scale:
    """Return a scale for a machine that also runs a database server: fewer users, longer timeouts."""
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
    """The fate of one request and its response.

    Attributes:
        node: the number of the node that gets the request.
        twin: the number of a node that gets a copy of it; None for no copy.
        twin_delay: the delay of the copy.
        request_lost: whether the request is lost.
        request_delay: the delay of the request.
        answer_lost: whether the response is lost.
        answer_cut: whether only half of the response arrives.
        answer_delay: the delay of the response.
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
    """Draws the fates, each by its name."""

    def __init__(self, seed: int, scale: Scale) -> None:
        self.seed = seed
        self.scale = scale

    def draw(self, *name: object) -> random.Random:
        """Return the random generator of this name: the same in each run with this seed."""
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
        """Draw when the database server is killed, and for how long it is down; half of the times only shortly."""
        luck, every = self.draw("strikes"), self.scale.strike_every
        return [
            ((number + luck.uniform(0.2, 0.8)) * every, max(0.0, luck.uniform(-0.3, 0.3)) * every)
            for number in range(int(self.scale.seconds / every))
        ]
