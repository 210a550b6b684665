"""What the issuer's endpoints say over HTTP, and the frameworks they are mounted in."""

from daypass.web.application import Application

__all__ = ["Application"]
