"""A storage in memory."""

from daypass.client.storage.base import Storage


class MemoryStorage(Storage):
    """Keeps a session in memory: for several `DaypassAuth`, of any library, that share one session."""

    def __init__(self) -> None:
        super().__init__()
        self._text: str | None = None

    def load(self) -> str | None:
        """Return the text."""
        return self._text

    def save(self, text: str | None) -> None:
        """Keep the text."""
        self._text = text
