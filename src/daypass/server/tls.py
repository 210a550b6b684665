"""TLS with certificate files, which you can replace while the service runs."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from daypass.errors import ConfigurationError


@dataclass(slots=True)
class Certificate:
    """A certificate chain and its private key, in PEM files, and the SSL context of new connections.

    Raises:
        ConfigurationError: the files cannot be read, or do not belong together.
    """

    chain: Path
    key: Path
    context: ssl.SSLContext = field(init=False, repr=False)
    _loaded: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._loaded = self._state()
        self.context = self._load(_new_context())

    def load_if_changed(self) -> bool:
        """Use the files' new content for new connections, if they have changed; return whether they have.

        Raises:
            ConfigurationError: the new content is invalid; the old certificate stays in use.
        """
        state = self._state()
        if state == self._loaded:
            return False
        self._loaded = state  # an invalid pair is reported once
        self._load(_new_context())  # a context that refused a pair would keep half of it
        self._load(self.context)
        return True

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            context.load_cert_chain(self.chain, self.key, password=self._encrypted)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"the certificate {self.chain} and the key {self.key} cannot be used together: "
                f"{error.reason or 'this is not PEM'}"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the certificate {self.chain} or the key {self.key} cannot be read: {error.strerror}"
            ) from None
        return context

    def _encrypted(self) -> NoReturn:
        raise ConfigurationError(f"the key {self.key} is encrypted; write it without a password, with mode 0600")

    def _state(self) -> tuple[object, ...]:
        try:
            return tuple(
                (found.st_mtime_ns, found.st_ino, found.st_size) for found in (self.chain.stat(), self.key.stat())
            )
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}") from None


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
