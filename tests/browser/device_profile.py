"""Chromium with a profile whose sessions are bound to keys of the device, which it keeps in software."""

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, Page

from .engines import Engines

ACCESS = "__Host-daypass-access"


class Profile:
    """A profile that accepts one certificate; it can be closed and opened again.

    Args:
        engines: the browsers.
        url: of the site.
        certificate: of the site.
        folder: where the profile is kept.
    """

    def __init__(self, engines: Engines, url: str, certificate: Path, folder: Path) -> None:
        self._engines, self.url, self._folder = engines, url, folder
        self._key = _key_of(certificate)
        self.open()

    def open(self, **options: Any) -> None:
        self.context: BrowserContext = self._engines.with_devices(self._folder, self._key, **options)
        self.context.set_default_timeout(15_000)

    def page(self) -> Page:
        page = self.context.new_page()
        page.goto(self.url)
        page.wait_for_function("window.loaded")
        return page

    def expire(self) -> None:
        """Let the access token's cookie expire."""
        self.context.clear_cookies(name=ACCESS)

    def until_registered(self) -> None:
        wait_until(
            lambda: any(cookie.get("name") == ACCESS for cookie in self.context.cookies()),
            "the browser registered no key",
        )


def wait_until(is_so: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, why
        time.sleep(0.02)


def _key_of(certificate: Path) -> str:
    """Return the hash of the certificate's public key, by which Chromium accepts it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(raw).digest()).decode()
