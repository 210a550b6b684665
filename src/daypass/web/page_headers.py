"""Adds cookies and cache headers to the response of an application that renders pages. Pure."""

from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]

CLEAR_SITE_DATA = ("clear-site-data", '"prefetchCache", "prerenderCache"')
"""For a logout: a browser forgets pages that it has loaded ahead of a click; they show the user who left.

It is not ``"cache"``: Chromium holds the response back while it searches its whole disk cache, about 10 s for 10,000
files, and does not clear the page that the user logs out from. ``"cookies"`` and ``"storage"`` are other applications',
too.
"""


def merge_headers(theirs: Iterable[tuple[str, str]], ours: Headers) -> list[tuple[str, str]]:
    """Return the headers of an application's response together with those of `daypass.web.pages.Pages`.

    - Each ``set-cookie`` of ours is added; ``clear-site-data`` unless the application has its own.
    - A response that sets one of our cookies is private: ``public`` and ``s-maxage`` are removed from
      ``cache-control``, and ``private`` is added unless ``private`` or ``no-store`` is there.
    - Any other response that says ``public`` (or ``s-maxage``) keeps that, and gets no ``vary: Cookie``: the
      application says that everybody gets the same.
    - Any other response gets ``no-store`` if ``ours`` has it, unless the application says ``max-age``: then it gets
      ``private``, as it does if ``ours`` has that.
    - ``Cookie`` is added to ``vary``, unless ``Cookie`` or ``*`` is there.

    Names are compared without case. The result has at most one ``cache-control`` and one ``vary``.
    """
    theirs = list(theirs)
    if not ours:
        return theirs
    set_cookies = [header for header in ours if header[0] == "set-cookie"]
    own = {name.lower() for name, _ in theirs}
    added = [header for header in ours if header[0] == "set-cookie" or header[0] not in {*own, "cache-control", "vary"}]
    said = _words(theirs, "cache-control")
    shared = [word for word in said if _directive(word) in ("public", "s-maxage")]
    merged = [header for header in theirs if header[0].lower() not in ("cache-control", "vary")]
    vary = _words(theirs, "vary")
    if shared and not set_cookies:
        control = said
    else:
        control = [word for word in said if word not in shared]
        names = {_directive(word) for word in control}
        if ("cache-control", "no-store") in ours and not names & {"max-age", "no-store"}:
            control.append("no-store")
        elif not names & {"private", "no-store"} and (set_cookies or _words(list(ours), "cache-control")):
            control.append("private")
        if not {word.lower() for word in vary} & {"*", "cookie"}:
            vary.append("Cookie")
    if control:
        merged.append(("cache-control", ", ".join(control)))
    if vary:
        merged.append(("vary", ", ".join(vary)))
    return merged + added


def _words(headers: list[tuple[str, str]], name: str) -> list[str]:
    lines = [value for found, value in headers if found.lower() == name]
    return [word.strip() for word in ",".join(lines).split(",") if word.strip()]


def _directive(word: str) -> str:
    return word.partition("=")[0].strip().lower()
