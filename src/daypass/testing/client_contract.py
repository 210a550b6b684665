"""The scenarios as pytest tests, for any client: give its `Subject`, and every scenario is a test.

class TestMine(ClientContract):
    subject = Mine
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from daypass.testing.client_scenarios import SCENARIOS, Scenario, stage
from daypass.testing.client_subject import Subject


class ClientContract:
    """Every scenario, for one client.

    Attributes:
        subject: the client's class.
        processes: how many processes share one file, in that scenario.
        rounds: how often each of them gets an expired token there.
        slow: seconds that a refresh takes at a slow server.
    """

    subject: ClassVar[type[Subject]]
    processes: ClassVar[int] = 8
    rounds: ClassVar[int] = 50
    slow: ClassVar[float] = 6.0

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    def test_a_scenario_ends_as_promised(self, scenario: Scenario, tmp_path: Path) -> None:
        """The result of each scenario is exactly what it promises."""
        if scenario.concerns(self.subject):
            with stage(self.subject, tmp_path, self.processes, self.rounds, self.slow) as staged:
                promise = promised(scenario, self.processes, self.rounds)
                assert promise == scenario.play(staged)


def promised(scenario: Scenario, processes: int = 8, rounds: int = 50) -> str:
    """Return a scenario's promise, with the numbers of these processes and rounds."""
    full, less = f"{8 * 50} of {8 * 50} answered, 50 refreshes", processes * rounds
    return scenario.promise.replace(full, f"{less} of {less} answered, {rounds} refreshes")
