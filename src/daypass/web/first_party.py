"""What is for the issuer's own client alone: to see and end a user's sessions. Pure.

Another client was let in for what its scope says, and not to manage the account. The client alone decides, not the
scope: a session of the issuer's own client that was narrowed is its user's all the same, who has to be able to see and
end the others, from wherever he is. A narrowed token that is meant for somebody else is issued to another client.
"""

from daypass.access_token import AccessToken
from daypass.errors import ScopeInsufficient
from daypass.web.bearer import REALM
from daypass.web.message import BadRequest


def require_client(token: AccessToken, client_id: str) -> None:
    """Refuse an access token that was issued to another client (RFC 9068 §2.2, ``client_id``).

    Raises:
        BadRequest: it was; 403 with the challenge of RFC 6750 §3.1.
    """
    if token.client_id != client_id:
        refusal = BadRequest(403, ScopeInsufficient.code, "Another client's access token does not allow this")
        needed = f'Bearer realm="{REALM}", error="{ScopeInsufficient.code}"'
        refusal.response = refusal.response.with_headers(("www-authenticate", needed))
        raise refusal
