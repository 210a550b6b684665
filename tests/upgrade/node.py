"""A node that does what it is asked, a line of JSON at a time. It runs with the modules of version 0.1, so it uses only
what that version has, and nothing of the tests.
"""

import importlib
import json
import sys
from typing import Any

from daypass import Daypass, Session, Tokens, User
from daypass.errors import DaypassError


def serve(url: str, options: dict[str, Any]) -> None:
    """Answer the commands on standard input: the time, a method of the issuer, its arguments."""
    time = [0]
    auth = Daypass(url, load_user=lambda subject: User(subject, username="ann"), clock=lambda: time[0], **options)
    with auth:
        auth.run(migrate())
        for line in sys.stdin:
            time[0], name, arguments = json.loads(line)
            if name == "start":
                arguments[0] = User(arguments[0], username="ann")
            try:
                said = told(getattr(auth, name)(*arguments))
            except DaypassError as error:
                said = {"error": type(error).__name__}
            sys.stdout.write(f"{json.dumps(said)}\n")
            sys.stdout.flush()


def migrate() -> Any:
    """Make the tables."""
    return (yield from importlib.import_module("daypass.steps").Migrate())


def told(found: Any) -> Any:
    """Return what a method has returned, as JSON can say it."""
    if isinstance(found, Tokens):
        return {"refresh_token": found.refresh_token, "access_token": found.access_token, **told(found.session)}
    if isinstance(found, Session):
        return {"id": found.id, "generation": found.generation, "expires_at": found.expires_at}
    if hasattr(found, "claims"):
        return dict(found.claims)
    return [told(each) for each in found] if isinstance(found, tuple) else found


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
