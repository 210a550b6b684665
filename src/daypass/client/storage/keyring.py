"""A storage in the system's keyring."""

from hashlib import sha256
from typing import Any

from daypass.client.storage.file_lock import LockedByFile
from daypass.errors import ConfigurationError


class KeyringStorage(LockedByFile):
    """Keeps a session in the system's keyring.

    Args:
        service: the service name in the keyring.
        username: the user of the session.
        keyring: a backend of the ``keyring`` library; by default the system's.

    Raises:
        ConfigurationError: ``keyring`` is not installed, or this system has no keyring.
    """

    def __init__(self, service: str = "daypass", username: str = "session", *, keyring: Any = None) -> None:
        try:
            from keyring import errors, get_keyring
            from platformdirs import user_state_path
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                'the system keyring needs a package; run: pip install "daypass[keyring]"'
            ) from error
        self._failure: type[Exception] = errors.KeyringError
        self._keyring = get_keyring() if keyring is None else keyring
        if self._keyring.priority <= 0:
            raise ConfigurationError("this system has no keyring that is safe to use; keep the session in a file")
        self._service, self._username = service, username
        name = sha256(f"{service}\0{username}".encode()).hexdigest()[:32]
        super().__init__(user_state_path("daypass") / "locks" / f"{name}.lock")

    def __repr__(self) -> str:
        return f"<KeyringStorage {self._service} {self._username}>"

    def load(self) -> str | None:
        """Return the keyring's text."""
        try:
            text: str | None = self._keyring.get_password(self._service, self._username)
        except self._failure as error:
            raise OSError(f"the keyring cannot be read ({type(error).__name__})") from None
        return text

    def save(self, text: str | None) -> None:
        """Write the text to the keyring, or remove it."""
        try:
            if text is not None:
                self._keyring.set_password(self._service, self._username, text)
            elif self.load() is not None:
                self._keyring.delete_password(self._service, self._username)
        except self._failure as error:
            raise OSError(f"the keyring cannot be written ({type(error).__name__})") from None
