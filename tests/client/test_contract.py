"""Every Daypass client passes every scenario of the kit, exactly as promised."""

import pytest

from daypass.testing.client_contract import ClientContract
from daypass.testing.client_subjects import (
    AioHttp,
    AsyncHttpx,
    AsyncHttpx2,
    AsyncNiquests,
    Httpx,
    Httpx2,
    Niquests,
    Requests,
    Urllib3,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Ours(ClientContract):
    """Fewer rounds than in the table, which `make clients` makes at full size, and a server that is less slow."""

    processes = 4
    rounds = 10
    slow = 2.5


class TestHttpx2(Ours):
    subject = Httpx2


class TestAsyncHttpx2(Ours):
    subject = AsyncHttpx2


class TestHttpx(Ours):
    subject = Httpx


class TestAsyncHttpx(Ours):
    subject = AsyncHttpx


class TestRequests(Ours):
    subject = Requests


class TestAioHttp(Ours):
    subject = AioHttp


class TestNiquests(Ours):
    subject = Niquests


class TestUrllib3(Ours):
    subject = Urllib3


class TestAsyncNiquests(Ours):
    subject = AsyncNiquests
