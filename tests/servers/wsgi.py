"""A WSGI application on a real socket, with a thread for each request."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from daypass.server import run


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # so that bodies may come in chunks

    def make_environ(self) -> WSGIEnvironment:
        environ = super().make_environ()
        return environ | {"REMOTE_PORT": str(environ["REMOTE_PORT"])}  # the validator of PEP 3333 insists on text

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # so that closing it waits for the requests that are under way


@contextmanager
def serving(app: WSGIApplication) -> Iterator[str]:
    """Serve ``app`` on a free port of loopback; give its address."""
    with run.bind("127.0.0.1", 0) as listening:
        server = _Server("127.0.0.1", 0, app, _Handler, fd=listening.fileno())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield run.address(listening)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
