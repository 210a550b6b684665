"""Whether the page for operators exists: off unless a built-in user has its scope, or a setting says so."""

from dataclasses import replace

from daypass import scope as scopes
from daypass.account_steps import PAGE, ListAccounts
from daypass.duration import SECOND
from daypass.flow import Flow

SCOPE = "daypass:admin"
"""The scope of operators."""

AUTO, ON, OFF = "auto", "on", "off"
ASKED_EVERY = 5 * SECOND


class Switch:
    """Asks the store at most once in `ASKED_EVERY`.

    Args:
        mode: ``on``, ``off``, or ``auto``: on as soon as a built-in user has the scope.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._asked_at: int | None = None
        self._found = False

    def is_on(self, now: int) -> Flow[bool]:
        """Return whether there is a page.

        Raises:
            StoreError: the store could not be asked.
        """
        if self._mode != AUTO:
            return self._mode == ON
        if self._asked_at is None or abs(now - self._asked_at) >= ASKED_EVERY:
            self._found = yield from _is_there_an_operator()
            self._asked_at = now
        return self._found


def _is_there_an_operator() -> Flow[bool]:
    step = ListAccounts(scoped=True)
    while True:
        page = yield from step
        if any(scopes.covers(account.scope, SCOPE) for account in page):
            return True
        if len(page) < PAGE:
            return False
        step = replace(step, after=page[-1].subject)
