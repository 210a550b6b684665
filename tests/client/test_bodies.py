"""A request that is sent again has the whole body: every class of body, never an empty or a partial one."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daypass.client.body import KEPT_AT_MOST

LIFETIME = 900_000
CONTENT = bytes(range(256)) * 1_024  # 256 KiB: several chunks
NewUser = Callable[..., Any]


def seen(content: bytes) -> tuple[str, int]:
    return hashlib.sha256(content).hexdigest(), len(content)


def revoke(issuer: Any, clock: Any) -> None:
    clock.advance(5_000)
    issuer.revoke_access()


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({}, b""),
        ({"content": CONTENT}, CONTENT),
        ({"content": "text"}, b"text"),
        ({"json": {"a": 1}}, b'{"a":1}'),
        ({"data": {"a": "1", "b": "2"}}, b"a=1&b=2"),
    ],
    ids=["none", "bytes", "text", "json", "form"],
)
def test_a_body_in_memory_is_sent_again_as_it_was(
    user: Any, issuer: Any, clock: Any, options: dict[str, Any], content: bytes
) -> None:
    """Bytes, text, JSON and forms: both uploads are the same."""
    revoke(issuer, clock)

    assert user.request("POST", "/upload", **options).status_code == 200
    assert [seen(content)] * 2 == issuer.uploads


def test_a_list_of_bytes_is_sent_again_as_it_was(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """A list can be read as often as one likes."""
    user = new_user("httpx2-sync")
    user.login()
    revoke(issuer, clock)

    assert user.request("PUT", "/upload", content=[b"one", b"two"]).status_code == 200
    assert [seen(b"onetwo")] * 2 == issuer.uploads


def test_a_multipart_upload_is_sent_again_whole(user: Any, issuer: Any, clock: Any, tmp_path: Path) -> None:
    """A file in a form is sent completely, wherever it was read to: httpx rewinds it, both times."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    revoke(issuer, clock)

    with path.open("rb") as file:
        file.seek(1_000)
        answer = user.request("POST", "/upload", files={"f": file, "g": ("g", b"bytes")}, data={"a": "1"})

    assert answer.status_code == 200
    assert issuer.uploads[0] == issuer.uploads[1]
    assert issuer.uploads[0][1] > len(CONTENT)


@pytest.mark.parametrize("library", ["httpx2", "httpx"])
@pytest.mark.parametrize("open_file", [lambda path: path.open("rb"), lambda path: io.BytesIO(path.read_bytes())])
def test_a_file_is_sent_again_from_where_it_stood(
    new_user: NewUser, issuer: Any, clock: Any, tmp_path: Path, library: str, open_file: Callable[[Path], Any]
) -> None:
    """A file sent from its middle is sent from its middle again: neither empty nor from its beginning."""
    user = new_user(f"{library}-sync")
    user.login()
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    revoke(issuer, clock)

    with open_file(path) as file:
        file.seek(1_000)
        # httpx (not httpx2) counts the whole file, and then cannot send it without a length of the caller's.
        headers = {"Content-Length": str(len(CONTENT) - 1_000)}
        answer = user.request("PUT", "/upload", content=file, headers=headers)

    assert answer.status_code == 200
    assert [seen(CONTENT[1_000:])] * 2 == issuer.uploads


def test_a_file_that_was_closed_meanwhile_is_not_sent_again(new_user: NewUser, issuer: Any, clock: Any) -> None:
    """A file that can no longer be rewound: the caller gets the 401, and the client has a new token."""

    class ClosedAfterwards(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(size)
            if not chunk:
                self.close()
            return chunk

    user = new_user("httpx2-sync")
    user.login()
    revoke(issuer, clock)

    assert user.request("PUT", "/upload", content=ClosedAfterwards(CONTENT)).status_code == 401
    assert [seen(CONTENT)] == issuer.uploads
    assert (user.get().status_code, issuer.counts["refreshes"]) == (200, 1)


def test_a_small_stream_is_kept_and_sent_again(user: Any, issuer: Any, clock: Any) -> None:
    """A generator can be read only once: what was read is kept, and sent again completely."""
    revoke(issuer, clock)

    answer = user.request("POST", "/upload", content=user.stream_of([CONTENT[:70_000], b"", CONTENT[70_000:]]))

    assert answer.status_code == 200
    assert [seen(CONTENT)] * 2 == issuer.uploads


def test_a_stream_that_was_refused_before_it_was_read_is_sent_whole(user: Any, issuer: Any, clock: Any) -> None:
    """A server that answers 401 without reading the body gets all of it the second time."""
    revoke(issuer, clock)

    answer = user.request("POST", "/early", content=user.stream_of([CONTENT] * 3))

    assert answer.status_code == 200
    assert [seen(CONTENT * 3)] == issuer.uploads


def test_a_stream_too_large_to_keep_is_never_sent_twice(user: Any, issuer: Any, clock: Any) -> None:
    """Beyond the bound there is one upload, whole; the caller gets the 401, and the next request a new token."""
    chunks = [CONTENT] * (KEPT_AT_MOST // len(CONTENT) + 1)
    revoke(issuer, clock)

    answer = user.request("POST", "/upload", content=user.stream_of(chunks))

    assert answer.status_code == 401
    assert [seen(b"".join(chunks))] == issuer.uploads
    answer = user.request("POST", "/upload", content=user.stream_of(chunks))
    assert (answer.status_code, issuer.counts["refreshes"]) == (200, 1)


def test_a_stream_close_to_expiry_waits_for_a_new_token(user: Any, issuer: Any, clock: Any) -> None:
    """What may not be repeatable is not sent with a token about to expire: the refresh comes first."""
    issuer.revoke_access()
    clock.advance(LIFETIME * 95 // 100)

    answer = user.request("POST", "/upload", content=user.stream_of([CONTENT] * 5))

    assert answer.status_code == 200
    assert [seen(CONTENT * 5)] == issuer.uploads
    assert (issuer.counts["refreshes"], issuer.counts["unauthorized"]) == (1, 0)


def test_a_stream_close_to_expiry_goes_out_in_an_outage(user: Any, issuer: Any, clock: Any) -> None:
    """If the refresh that should come first is not possible, the token that is still valid is used."""
    issuer.statuses = [503] * 3
    clock.advance(LIFETIME * 95 // 100)

    assert user.request("POST", "/upload", content=user.stream_of([b"x"])).status_code == 200


@pytest.mark.parametrize("library", ["httpx2", "httpx"])
def test_a_pipe_in_a_form_is_kept_and_sent_again(new_user: NewUser, issuer: Any, clock: Any, library: str) -> None:
    """A file that cannot be rewound, in a form: httpx would send it empty the second time; it is sent whole."""

    class Pipe:
        name = "pipe"

        def __init__(self) -> None:
            self._buffer = io.BytesIO(CONTENT)

        def read(self, size: int = -1) -> bytes:
            return self._buffer.read(size)

    user = new_user(f"{library}-sync")
    user.login()
    revoke(issuer, clock)

    assert user.request("POST", "/upload", files={"f": Pipe()}).status_code == 200
    assert issuer.uploads[0] == issuer.uploads[1]
    assert issuer.uploads[0][1] > len(CONTENT)
