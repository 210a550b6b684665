"""The refresh tokens of one session, made and read by the shipping codec, under small numbers.

There is no second codec here: each token is minted by `daypass.refresh_token`, goes through its text, and is read back.
Only then it gets a number, so that the states of the explorer are tuples of numbers.
"""

from typing import NamedTuple

from daypass import refresh_token
from daypass.refresh_token import BRANCH_SIZE, SECRET_SIZE, RefreshKey, RefreshToken
from daypass.rotation import NEVER_ROTATED

KEY = RefreshKey(b"kkkk", b"m" * 32)

Row = tuple[int, int]
"""What the store holds: the number of the token that was presented last, and ``rotated_at``."""

LOGIN: Row = (0, NEVER_ROTATED)
"""The row of a new session. Number 0 is not a token: it is the random branch that a login draws."""


class Position(NamedTuple):
    """A row in the form that the rule reads."""

    generation: int
    branch: bytes
    rotated_at: int
    key_thumbprint: str | None = None


class Mint:
    """Numbers for the tokens of one session, and the tokens for the numbers."""

    def __init__(self) -> None:
        seed = RefreshToken(b"s" * SECRET_SIZE, 0, b"b" * BRANCH_SIZE, bytes(BRANCH_SIZE))
        self.tokens: list[RefreshToken] = []
        self.born: list[int] = []
        self.parents: list[int] = []
        self._numbers: dict[str, int] = {}
        self._rows: dict[tuple[int, bytes], int] = {}
        self._successors: dict[Row, int] = {}
        self._number(refresh_token.encode(seed, KEY), parent=-1, born=NEVER_ROTATED)
        text = refresh_token.encode(refresh_token.successor(seed.secret, self.position(LOGIN)), KEY)
        self.first = self._successors[LOGIN] = self._number(text, parent=0, born=NEVER_ROTATED)

    def position(self, row: Row) -> Position:
        """Return ``row`` as the rule reads it."""
        token = self.tokens[row[0]]
        return Position(token.generation, token.branch, row[1])

    def row(self, generation: int, branch: bytes, rotated_at: int) -> Row:
        """Return the row that the rule writes."""
        return self._rows[generation, branch], rotated_at

    def successor(self, row: Row) -> int:
        """Return the number of the token that follows ``row``."""
        number = self._successors.get(row)
        if number is None:
            following = refresh_token.successor(self.tokens[row[0]].secret, self.position(row))
            number = self._number(refresh_token.encode(following, KEY), parent=row[0], born=row[1])
            self._successors[row] = number
        return number

    def _number(self, text: str, *, parent: int, born: int) -> int:
        if text not in self._numbers:
            token = refresh_token.decode(text, (KEY,))
            self._numbers[text] = len(self.tokens)
            self._rows[token.generation, token.branch] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(parent)
            self.born.append(born)
        return self._numbers[text]
