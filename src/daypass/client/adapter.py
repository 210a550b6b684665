"""The parts of an adapter for an HTTP library; docs/adapters.md explains how to write one.

An adapter has a `Library`, which sends Daypass's own requests through a client, and a subclass of `SessionAuth`, which
adds the access token to each request of the user and gives the response to a `Replay`.
"""

from daypass.client.auth import SessionAuth
from daypass.client.body import REPEATABLE, UNREPEATABLE, Body, body_to_send
from daypass.client.content import ACCEPT_ENCODING, content_of, is_enough
from daypass.client.library import Library, answer_of, forget_from_jar, with_cookie
from daypass.client.messages import Answer, Message
from daypass.client.origin import origin_of, own_port
from daypass.client.redirects import check_redirect, note_redirect
from daypass.client.replay import Replay, Seen

__all__ = [
    "ACCEPT_ENCODING",
    "REPEATABLE",
    "UNREPEATABLE",
    "Answer",
    "Body",
    "Library",
    "Message",
    "Replay",
    "Seen",
    "SessionAuth",
    "answer_of",
    "body_to_send",
    "check_redirect",
    "content_of",
    "forget_from_jar",
    "is_enough",
    "note_redirect",
    "origin_of",
    "own_port",
    "with_cookie",
]
