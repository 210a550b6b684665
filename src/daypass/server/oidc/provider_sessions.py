"""Which of our sessions belong to which login at the provider, by marks in the store; ends them at its logout.

A logout token may arrive while a login is under way. So a logout leaves a mark first and then ends the sessions that it
finds, and a login starts its session first and then looks for such a mark.
"""

import hashlib

from daypass.duration import MINUTE, SECOND
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.operator_steps import AddMark, ReadMarks
from daypass.server.oidc.tokens import LEEWAY, LogoutToken


class ProviderSessions:
    """The sessions that were started by logins at one provider.

    Args:
        flows: the flows of the issuer.
        names: the provider and the client, which keys of marks contain.
        session_ttl: how long a session lasts, in milliseconds.
    """

    def __init__(self, flows: Flows, names: tuple[str, str], session_ttl: int) -> None:
        self._flows = flows
        self._names = names
        self._session_ttl = session_ttl

    def note(self, session_id: str, subject: str, sid: str | None, now: int) -> Flow[None]:
        """Note whose session this is, before it is started.

        Raises:
            StoreError: it was not noted.
        """
        for key in self._keys("of", subject, sid):
            yield from AddMark(key, session_id, now + self._session_ttl + MINUTE, now)

    def logged_out_since(self, issued_at: int, subject: str, sid: str | None, now: int) -> Flow[bool]:
        """Return whether the provider has ended a login whose ID token was issued at ``issued_at`` (seconds).

        Raises:
            StoreError: the store could not be asked.
        """
        for key in self._keys("out", subject, sid):
            ended = yield from ReadMarks(key, now)
            if any(issued_at <= int(at) for at in ended):
                return True
        return False

    def is_replayed(self, token: LogoutToken, now: int) -> Flow[bool]:
        """Return whether this logout token was used before, at any node.

        Raises:
            StoreError: the store could not be asked.
        """
        return bool((yield from ReadMarks(self._key("jti", token.jti), now)))

    def log_out(self, token: LogoutToken, call: Call) -> Flow[int]:
        """End the sessions that a logout token names; return how many were live.

        If the store fails meanwhile, the same token can be used again.

        Raises:
            StoreError: some may have been ended.
        """
        (key,) = self._keys("out", token.subject if token.sid is None else None, token.sid)
        yield from AddMark(key, str(token.issued_at), call.now + self._session_ttl + MINUTE, call.now)
        (key,) = self._keys("of", token.subject if token.sid is None else None, token.sid)
        count = 0
        for session_id in (yield from ReadMarks(key, call.now)):
            count += yield from self._flows.log_out_session(session_id, call)
        until = (token.until + LEEWAY) * SECOND
        yield from AddMark(self._key("jti", token.jti), "", until, call.now)
        return count

    def _keys(self, purpose: str, subject: str | None, sid: str | None) -> tuple[str, ...]:
        parts = (("sub", subject), ("sid", sid))
        return tuple(self._key(f"{purpose}-{kind}", value) for kind, value in parts if value is not None)

    def _key(self, kind: str, value: str) -> str:
        return hashlib.sha256("\0".join((kind, *self._names, value)).encode()).hexdigest()[:32]
