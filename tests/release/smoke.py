"""What an installed distribution has to do in a bare virtual environment, with nothing but its own requirements.

python smoke.py VERSION [EXTRA]

With an extra, such as ``metrics``, what it adds to the service has to work; the environment then has ``server`` and it.
"""

# ruff: noqa: S310 - the URLs are of servers that are started here

import contextlib
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


COMMAND = Path(sys.executable).parent / "daypass"


def command(version: str) -> None:
    """Start the command."""
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"daypass {version}", done.stdout


@contextlib.contextmanager
def serving(folder: str, *options: str) -> Iterator[str]:
    """Run the service in a folder; yield its URL."""
    given = ["serve", "--port", "0", "--store", "sqlite:///app.db", *options]
    with subprocess.Popen([COMMAND, *given], cwd=folder, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        yield service.stdout.readline().removeprefix("Daypass is ready at ").strip()
        service.terminate()
        assert service.wait(20) == 0


def metrics() -> None:
    """Scrape the service."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "token")
        path.write_text("t" * 32)
        path.chmod(0o600)
        with serving(folder, "--metrics-token-file", "token") as url:
            request = urllib.request.Request(f"{url}/metrics", headers={"authorization": f"Bearer {'t' * 32}"})
            with urllib.request.urlopen(request) as response:
                assert b"daypass_build_info" in response.read()


def completion() -> None:
    """Print the script for a shell."""
    done = subprocess.run([COMMAND, "completion", "bash"], capture_output=True, text=True, check=True)
    assert "daypass" in done.stdout


def opentelemetry() -> None:
    """Export traces and metrics of the service, and instrument an issuer."""
    from daypass.opentelemetry import instrument

    instrument(Daypass("memory:", issuer="https://api.example.com", load_user=User))
    received: set[str] = set()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            received.add(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as collector, TemporaryDirectory() as folder:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        with serving(folder, "--otlp-endpoint", f"http://127.0.0.1:{collector.server_port}") as url:
            urllib.request.urlopen(f"{url}/.well-known/jwks.json").close()
        collector.shutdown()
    assert received == {"/v1/traces", "/v1/metrics"}, received


EXTRAS: dict[str, Callable[[], None]] = {"metrics": metrics, "completion": completion, "opentelemetry": opentelemetry}


if __name__ == "__main__":
    assert daypass.__version__ == sys.argv[1], daypass.__version__
    assert "site-packages" in (daypass.__file__ or ""), daypass.__file__
    contents()
    sessions()
    command(sys.argv[1])
    for extra in sys.argv[2:]:
        EXTRAS[extra]()
    sys.stdout.write(f"daypass {sys.argv[1]} works on Python {sys.version.split()[0]}\n")
