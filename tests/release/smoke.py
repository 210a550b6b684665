"""What an installed distribution has to do in a bare virtual environment, with nothing but its own requirements.

python smoke.py VERSION
"""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import daypass
from daypass import Daypass, TokenReused, User


def sessions() -> None:
    """Log in, refresh, verify, and catch a thief, in a SQLite file."""
    now = 1_800_000_000_000
    with TemporaryDirectory() as folder:
        auth = Daypass(
            f"sqlite:///{folder}/app.db", issuer="https://api.example.com", load_user=User, clock=lambda: now
        )
        first = auth.start(User("7")).refresh_token
        second = auth.refresh(first).refresh_token
        now += 60_000
        third = auth.refresh(second)
        assert auth.verify(third.access_token).subject == "7"
        now += 60_000
        try:
            auth.refresh(first)
        except TokenReused:
            pass
        else:
            raise AssertionError("an old refresh token was accepted")
        auth.close()


def contents() -> None:
    """Find the browser's module and the types."""
    package = files("daypass")
    for name in ("py.typed", "web/static/daypass.js", "web/static/daypass.js.br", "web/static/daypass.tgz"):
        assert package.joinpath(name).is_file(), name


def command(version: str) -> None:
    """Start the command."""
    done = subprocess.run(
        [Path(sys.executable).parent / "daypass", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"daypass {version}", done.stdout


if __name__ == "__main__":
    assert daypass.__version__ == sys.argv[1], daypass.__version__
    assert "site-packages" in (daypass.__file__ or ""), daypass.__file__
    contents()
    sessions()
    command(sys.argv[1])
    sys.stdout.write(f"daypass {sys.argv[1]} works on Python {sys.version.split()[0]}\n")
