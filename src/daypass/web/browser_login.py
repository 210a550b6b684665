"""Who is logged in to the browser that sent a request, and what its response changes of that. Pure."""

from dataclasses import dataclass, field
from typing import Unpack

from daypass.access_token import AccessToken
from daypass.errors import AuthenticationInsufficient, ConfigurationError
from daypass.flow import Flow
from daypass.session import Confirmed, Tokens
from daypass.steps import Now
from daypass.web.limits import Limiter, TooMany
from daypass.web.message import Request, Response
from daypass.web.step_up import StepUp, checked_step_up


@dataclass(slots=True)
class LoginState:
    """What `daypass.web.pages.Pages` found out, and what the application asked for; only `Pages` uses it.

    Attributes:
        client_id: the issuer's own client.
        began_at: when the request came.
        left_alone: whether the request has an ``Authorization`` header that is not ours to replace.
        presented: the refresh token in the cookie.
        session: the access token of the cookie or of the refresh.
        tokens: the tokens of the refresh.
        stale: whether the browser has newer cookies than these.
        clear: whether the cookies are dead and the response clears them.
        login: the tokens of a new login.
        cross_site: whether a page of another site may cause that login.
        confirmed: what the user's login was confirmed by.
        log_out: whether the application logs the browser out.
        everywhere: whether it ends the user's sessions on other devices, too.
        ended: refresh tokens of further sessions to end.
        identifier: the name that `BrowserLogin.count_login` counted.
    """

    client_id: str
    began_at: int = 0
    left_alone: bool = False
    presented: str | None = field(default=None, repr=False)
    session: AccessToken | None = None
    tokens: Tokens | None = None
    stale: bool = False
    clear: bool = False
    login: Tokens | None = None
    cross_site: bool = False
    confirmed: Confirmed | None = None
    log_out: bool = False
    everywhere: bool = False
    ended: list[str] = field(default_factory=list, repr=False)
    identifier: str | None = field(default=None, repr=False)


class BrowserLogin:
    """The login of the browser that sent a request; an application that renders pages reads and changes it.

    Attributes:
        request: as the client sent it.
        token: the user's access token; None if nobody is logged in.
        refusal: a response to send instead of the application's; before the application runs, or after.
        authorization: the ``Authorization`` header to add to the application's request; None adds none.
    """

    __slots__ = ("_limiter", "authorization", "refusal", "request", "state", "token")

    def __init__(self, request: Request, client_id: str, limiter: Limiter | None = None) -> None:
        self.request = request
        self.token: AccessToken | None = None
        self.refusal: Response | None = None
        self.authorization: str | None = None
        self.state = LoginState(client_id)
        self._limiter = limiter

    def __repr__(self) -> str:
        return f"BrowserLogin({self.request.method}, subject={self.token.subject if self.token else None!r})"

    def count_login(self, identifier: str) -> Flow[int]:
        """Count a form's login against the rate limits: ``wait = auth.run(login.count_login(name))``.

        Call it before you check the password. With an `AsyncDaypass`, ``await`` it. When you call `log_in` in the same
        request, Daypass remembers that this name logged in from this address; strangers cannot lock it out from there.

        Args:
            identifier: the name or address that was sent.

        Returns:
            0 if the password may be checked, as always without ``rate_limits``; otherwise the seconds to wait: answer
            429 with ``Retry-After`` (RFC 6585 §4), and do not check the password.
        """
        if self._limiter is not None:
            try:
                yield from self._limiter.login(self.request, identifier, (yield from Now()))
            except TooMany as error:
                return error.wait
            self.state.identifier = identifier
        return 0

    def log_in(self, tokens: Tokens, *, cross_site: bool = False) -> None:
        """Log the browser in with the response: pass the tokens of `Daypass.login` or `Daypass.start`.

        The response ends the session that the browser had before (OWASP: session fixation). ``token`` does not change
        during this request.

        Args:
            tokens: of the new session.
            cross_site: whether a form on another site's page may cause this login. By default such a request is
                answered with 403 and the new session is ended, because it could log a victim in as somebody else.
                Set it only for an identity provider that answers by ``POST``, after you checked its answer.

        Raises:
            ConfigurationError: the tokens belong to another client; pages use the issuer's own client only.
        """
        if tokens.session.client_id != self.state.client_id:
            raise ConfigurationError("log_in needs tokens of the issuer's own client: call start without client_id")
        if self.state.login is not None and self.state.login.session.id != tokens.session.id:
            self.state.ended.append(self.state.login.refresh_token)
        self.state.login, self.state.cross_site, self.state.log_out = tokens, cross_site, False

    def satisfies(self, **step_up: Unpack[StepUp]) -> bool:
        """Return whether the user is logged in, and was authenticated recently and strongly enough (RFC 9470).

        Args:
            step_up: ``max_age="5m"``: how recently; ``acr="mfa"``: in which way.

        Raises:
            ConfigurationError: one of them is invalid.
        """
        max_age, acr = checked_step_up("satisfies", step_up)
        try:
            if self.token is not None:
                self.token.require_authentication(self.state.began_at, max_age, acr)
        except AuthenticationInsufficient:
            return False
        return self.token is not None

    def confirm(self, confirmed: Confirmed) -> None:
        """Let the browser know that its user was authenticated again: pass what `Daypass.confirm` returned.

        The response sets the cookie of the new access token. ``token`` does not change during this request.

        Raises:
            ConfigurationError: it is of another session than the browser's.
        """
        if self.token is None or confirmed.session.id != self.token.session_id:
            raise ConfigurationError("confirm needs the browser's own session: auth.confirm(login.token.session_id, …)")
        self.state.confirmed = confirmed

    def log_out(self, *, everywhere: bool = False) -> None:
        """End the browser's session and clear its cookies with the response; ``token`` becomes None at once.

        If the store is down, the session cannot be ended. Then the browser gets 503 instead of the application's
        response, and keeps its cookies.

        Args:
            everywhere: whether to end all sessions of the user, on every device. If nobody is logged in, there are none
                to end.
        """
        if self.state.login is not None:
            self.state.ended.append(self.state.login.refresh_token)
        self.state.login, self.state.log_out, self.token = None, True, None
        self.state.everywhere = everywhere
