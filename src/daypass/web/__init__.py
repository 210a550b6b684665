"""The issuer's endpoints over HTTP, and the adapters for web frameworks."""

from daypass.web.application import Application

__all__ = ["Application"]
