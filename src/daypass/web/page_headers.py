"""Adds cookies, ``Cache-Control`` and ``Vary`` to the response of an application that renders pages. Pure."""

from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]


def merge_headers(theirs: Iterable[tuple[str, str]], ours: Headers) -> list[tuple[str, str]]:
    """Return the headers of an application's response together with those of `daypass.web.pages.Pages`.

    - Each ``set-cookie`` of ours is added.
    - A response that sets one of our cookies is private: ``public`` and ``s-maxage`` are removed from
      ``cache-control``, and ``private`` is added unless ``private`` or ``no-store`` is there.
    - Any other response that says ``public`` (or ``s-maxage``) keeps that, and gets no ``vary: Cookie``: the
      application says that everybody gets the same.
    - Any other response gets ``private`` if ``ours`` has it, unless ``private`` or ``no-store`` is there.
    - ``Cookie`` is added to ``vary``, unless ``Cookie`` or ``*`` is there.

    Names are compared without case. The result has at most one ``cache-control`` and one ``vary``.
    """
    theirs = list(theirs)
    if not ours:
        return theirs
    set_cookies = [header for header in ours if header[0] == "set-cookie"]
    said = _words(theirs, "cache-control")
    shared = [word for word in said if _directive(word) in ("public", "s-maxage")]
    merged = [header for header in theirs if header[0].lower() not in ("cache-control", "vary")]
    vary = _words(theirs, "vary")
    if shared and not set_cookies:
        control = said
    else:
        control = [word for word in said if word not in shared]
        closed = any(_directive(word) in ("private", "no-store") for word in control)
        if not closed and (set_cookies or ("cache-control", "private") in ours):
            control.append("private")
        if not {word.lower() for word in vary} & {"*", "cookie"}:
            vary.append("Cookie")
    if control:
        merged.append(("cache-control", ", ".join(control)))
    if vary:
        merged.append(("vary", ", ".join(vary)))
    return merged + set_cookies


def _words(headers: list[tuple[str, str]], name: str) -> list[str]:
    lines = [value for found, value in headers if found.lower() == name]
    return [word.strip() for word in ",".join(lines).split(",") if word.strip()]


def _directive(word: str) -> str:
    return word.partition("=")[0].strip().lower()
