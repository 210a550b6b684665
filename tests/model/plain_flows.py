"""The flows of an issuer whose only options are its lifetimes."""

from daypass.access_token import Names
from daypass.flows import Flows, SessionLimit
from daypass.old_tokens import Migration
from daypass.policy import Policy


class PlainFlows(Flows):
    """Flows without a limit of sessions and without old tokens."""

    def __init__(self, policy: Policy) -> None:
        limit = SessionLimit(maximum=None, evicts=False, notices_devices=False)
        super().__init__(Names("i", "a", "c"), policy, limit, Migration((), b""))
