"""The endpoints that the page for operators calls: a request in, a response out. Pure, like those of `daypass.web`.

Each needs an access token with the scope `SCOPE` of a live session of the issuer's own client, whose user has the scope
now. Whatever changes something also needs a recent authentication (RFC 9470). Answers have the fields that the commands
print with ``--json``.
"""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qs

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.account_steps import FindAccount, LoadAccount
from daypass.audit import DROPPED
from daypass.duration import MINUTE
from daypass.errors import ScopeInsufficient, SessionRevoked, StoreError, TokenRejected
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call
from daypass.issuer import AsyncDaypass
from daypass.operator_fields import Fields, event_fields, keys_fields, session_fields, user_fields
from daypass.operator_steps import ReadEvents
from daypass.server.admin.minutes import SPANS, Minutes
from daypass.server.admin.switch import SCOPE, Switch
from daypass.session import Session
from daypass.steps import Emit, LoadUser
from daypass.store_steps import Find, ReadKeys
from daypass.user import MAXIMUM_SUBJECT, User
from daypass.web import cookies
from daypass.web.application import Application
from daypass.web.bearer import bearer_token, refused, require_own_client, user_of
from daypass.web.message import BadRequest, Request, Response, answer, json_object
from daypass.web.routes import Operation

RECENT = 5 * MINUTE
"""How long ago an operator may have been authenticated who changes something."""

PAGE = 50
_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9a-f]{16,32})")
CODES = (*(code.value for code in EventCode), DROPPED)

Parameters = Mapping[str, str]
Answering = Callable[["Endpoints", Parameters, AccessToken, Call], Flow[Fields]]


def _guarded(endpoint: Answering, *, changes: bool = False) -> Callable[["Endpoints", Request, Call], Flow[Response]]:
    """Return the operation that checks who asks, and turns errors into responses."""

    @wraps(endpoint)
    def answered(self: "Endpoints", request: Request, call: Call) -> Flow[Response]:
        try:
            yield from self.require_on(call)
            token = yield from self.admit(request, call, RECENT if changes else None)
            given = json_object(request) if changes else _query(request)
            return answer(200, (yield from endpoint(self, given, token, call)))
        except BadRequest as error:
            return error.response
        except (TokenRejected, ScopeInsufficient) as error:
            return refused(error)
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            return refused(error)

    return answered


def _reading(endpoint: Answering) -> Callable[["Endpoints", Request, Call], Flow[Response]]:
    return _guarded(endpoint)


def _changing(endpoint: Answering) -> Callable[["Endpoints", Request, Call], Flow[Response]]:
    return _guarded(endpoint, changes=True)


class Endpoints:
    """The endpoints of one service.

    Args:
        application: the service's issuer and its options.
        built_in: whether the users are those of the store.
        switch: whether there is a page.
        audited: whether there is an audit trail, which the counts are in too.
    """

    def __init__(
        self,
        application: Application[AsyncDaypass],
        switch: Switch,
        *,
        built_in: bool,
        audited: bool,
    ) -> None:
        self._application = application
        self._flows = application.auth.flows
        self._built_in = built_in
        self._switch = switch
        self._audited = audited
        self._minutes = Minutes()

    def operations(self) -> dict[str, dict[str, Operation]]:
        """Return the operations by path, below the page's own, and by method."""
        return {
            "/api/overview": {"GET": self.overview},
            "/api/user": {"GET": self.user},
            "/api/sessions": {"GET": self.sessions},
            "/api/session": {"GET": self.session},
            "/api/events": {"GET": self.events},
            "/api/keys": {"GET": self.keys},
            "/api/end-session": {"POST": self.end_session},
            "/api/end-all": {"POST": self.end_all},
        }

    def require_on(self, call: Call) -> Flow[None]:
        """Refuse a request as if there was no page.

        Raises:
            BadRequest: the page is off.
            StoreError: whether it is on could not be asked.
        """
        if not (yield from self._switch.is_on(call.now)):
            raise BadRequest(404, "not_found", "Not Found")

    def admit(self, request: Request, call: Call, max_age: int | None) -> Flow[AccessToken]:
        """Return the access token of an operator.

        The scope is also compared with what the session was granted and what the user may do now, and nobody who acts
        as an operator is one. So a scope that was taken away is gone at once.

        Raises:
            TokenRejected: the access token is missing or refused, its session has ended, or the authentication was too
                long ago.
            ScopeInsufficient: it is not an operator's.
            BadRequest: it belongs to another client, or came over plain HTTP from another machine.
            StoreError: it could not be checked.
        """
        cookies.require_secure_transport(request, self._application.cookie_policy)
        token = yield from bearer_token(request, self._application.auth.dpop, call.now)
        require_own_client(token, self._flows.names.client_id)
        token.require(SCOPE)
        session = yield from self._flows.find_live(token.session_id, call)
        if session is None:
            raise SessionRevoked("the session has ended")
        user = yield from user_of(token)
        if session.actor is not None or not scopes.covers(scopes.within(session.scope, user.scope), SCOPE):
            raise ScopeInsufficient(SCOPE)
        token.require_authentication(call.now, max_age)
        return token

    @_reading
    def overview(self, given: Parameters, _token: AccessToken, call: Call) -> Flow[Fields]:
        """Answer with the plots of ``span`` (``hour`` or ``day``), and the processes."""
        span = _choice(given, "span", SPANS, "hour")
        if self._audited:
            yield from self._minutes.read(call.now)
        plot = self._minutes.plot(span, call.now)
        return {"span": span, "audited": self._audited, **plot, "processes": self._minutes.processes(call.now)}

    @_reading
    def user(self, given: Parameters, _token: AccessToken, _call: Call) -> Flow[Fields]:
        """Answer with the user whose address, name or subject is ``find``; ``user`` is null if none is known."""
        identifier = _text(given, "find", required=True)
        found = yield from self._found(identifier)
        return {"subject": identifier if found is None else found["subject"], "user": found}

    def _found(self, identifier: str) -> Flow[Fields | None]:
        if self._built_in:
            account = (yield from FindAccount(identifier)) or (yield from LoadAccount(identifier))
            return None if account is None else user_fields(account)
        user = (yield from LoadUser(identifier)) if len(identifier) <= MAXIMUM_SUBJECT else None
        return None if user is None else _own_user(user)

    @_reading
    def sessions(self, given: Parameters, token: AccessToken, call: Call) -> Flow[Fields]:
        """Answer with a page of the live sessions of ``subject``, the newest login first."""
        subject = _text(given, "subject", required=True)
        found = yield from self._flows.sessions(subject, call, PAGE, _cursor(given))
        listed = [_session(each, token) for each in found]
        return {"sessions": listed, "next": _after(found[-1].created_at, found[-1].id) if len(found) == PAGE else None}

    @_reading
    def session(self, given: Parameters, token: AccessToken, _call: Call) -> Flow[Fields]:
        """Answer with the session ``id``, live or ended."""
        session = yield from Find(_text(given, "id", required=True))
        if session is None:
            raise BadRequest(404, "not_found", "There is no such session in the store")
        return _session(session, token)

    @_reading
    def events(self, given: Parameters, _token: AccessToken, _call: Call) -> Flow[Fields]:
        """Answer with a page of the audit trail, the newest first: of a ``code``, a ``user``, a ``session``."""
        code, user = _choice(given, "code", CODES, None), _text(given, "user")
        account = (yield from self._found(user)) if user and self._built_in else None
        step = ReadEvents(
            codes=(code,) if code else (),
            subject=(account["subject"] if account else user) or None,
            session_id=_text(given, "session") or None,
            after=_cursor(given),
            newest_first=True,
            limit=PAGE,
        )
        found = (yield from step) if self._audited else ()
        listed = [{"id": f"{each.at}.{each.id}", **event_fields(each)} for each in found]
        names = yield from self._names({each.subject for each in found} | {each.actor for each in found})
        return {"events": listed, "names": names, "next": listed[-1]["id"] if len(found) == PAGE else None}

    def _names(self, subjects: set[str | None]) -> Flow[dict[str, str]]:
        """Return the addresses of built-in users by subject; others would cost a request to their source each."""
        names = {}
        for subject in sorted(filter(None, subjects)) if self._built_in else ():
            account = yield from LoadAccount(subject)
            if account is not None:
                names[subject] = account.email
        return names

    @_reading
    def keys(self, _given: Parameters, _token: AccessToken, call: Call) -> Flow[Fields]:
        """Answer with the keys in the store, the newest first."""
        records = yield from ReadKeys()
        return {"keys": list(keys_fields(records, call.now))}

    @_changing
    def end_session(self, given: Parameters, token: AccessToken, call: Call) -> Flow[Fields]:
        """End the session ``session``; ``ended`` is 0 if it had ended before."""
        session = yield from Find(_text(given, "session", required=True))
        if session is None:
            raise BadRequest(404, "not_found", "There is no such session in the store")
        ended = yield from self._flows.end_session(session.subject, session.id, call, token.subject)
        return {"ended": int(ended)}

    @_changing
    def end_all(self, given: Parameters, token: AccessToken, call: Call) -> Flow[Fields]:
        """End all sessions of the user ``subject``; ``ended`` is their number."""
        subject = _text(given, "subject", required=True)
        return {"ended": (yield from self._flows.end_all(subject, None, call, token.subject))}


def _own_user(user: User) -> Fields:
    """Return a user of the team's own source, with the fields that it knows."""
    fields = {"subject": user.subject, "email": user.email, "username": user.username, "scope": user.scope}
    return {**fields, "disabled": user.disabled}


def _session(session: Session, token: AccessToken) -> Fields:
    return {**session_fields(session), "current": session.id == token.session_id}


def _query(request: Request) -> Parameters:
    try:
        given = parse_qs(request.query, keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise BadRequest(400, "invalid_request", "The query is not valid") from None
    return {name: values[-1] for name, values in given.items()}


def _text(given: Parameters, name: str, *, required: bool = False) -> str:
    value: Any = given.get(name, "")
    if not isinstance(value, str) or len(value) > 4 * MAXIMUM_SUBJECT or "\0" in value or not _is_unicode(value):
        raise BadRequest(400, "invalid_request", f"{name} is not valid")
    if required and not value:
        raise BadRequest(400, "invalid_request", f"Give {name}")
    return value


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _choice(given: Parameters, name: str, known: Any, default: Any) -> Any:
    value = given.get(name) or default
    if value is not default and value not in known:
        raise BadRequest(400, "invalid_request", f"{name} has to be one of {', '.join(known)}")
    return value


def _after(at: int, own_id: str) -> str:
    return f"{at}.{own_id}"


def _cursor(given: Parameters) -> tuple[int, str] | None:
    text = _text(given, "after")
    found = _CURSOR.fullmatch(text)
    if text and found is None:
        raise BadRequest(400, "invalid_request", "after is not valid")
    return None if found is None else (int(found[1]), found[2])
