"""A private pgbouncer in transaction mode, before a private PostgreSQL server."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from .postgres import NOBODY, PATIENCE, PostgresServer, as_another, folder, free_port

BINARY = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 5
server_login_retry = {login_retry}
logfile = {log}
"""


@contextlib.contextmanager
def before(server: PostgresServer, login_retry: float = 1) -> Iterator[str]:
    """Give the URL of a pgbouncer before ``server``, as docs/stores.md says to write it.

    Args:
        server: where it leads.
        login_retry: seconds that pgbouncer waits after it could not connect; its own default is 15.
    """
    if BINARY is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    here = folder("daypass-pgbouncer-")
    port = free_port()
    files = {name: here / name for name in ("users", "log", "ini")}
    files["users"].write_text('"daypass" ""\n')
    text = _SETTINGS.format(
        server=server.port, port=port, users=files["users"], log=files["log"], login_retry=login_retry
    )
    files["ini"].write_text(text)
    for each in (here, *files.values()):
        if os.geteuid() == 0 and each.exists():
            os.chown(each, NOBODY, NOBODY)
    process = subprocess.Popen(
        [BINARY, "-q", files["ini"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **as_another(),
    )
    try:
        _await(port, process, files["log"])
        yield f"postgresql://daypass@127.0.0.1:{port}/postgres?pgbouncer=true"
    finally:
        process.kill()
        process.wait(PATIENCE)
        shutil.rmtree(here, ignore_errors=True)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://daypass@127.0.0.1:{port}/postgres").close()
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)
