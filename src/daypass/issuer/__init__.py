"""The issuer: `Daypass` for threads, `AsyncDaypass` for event loops. The only difference is ``await``."""

from daypass.issuer.async_issuer import AsyncDaypass
from daypass.issuer.base import AsyncCheck, AsyncLoad, Check, Listener, Load
from daypass.issuer.sync_issuer import Daypass

__all__ = ["AsyncCheck", "AsyncDaypass", "AsyncLoad", "Check", "Daypass", "Listener", "Load"]
