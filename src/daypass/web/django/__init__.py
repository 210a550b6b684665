"""Daypass in Django: the URLs, and what requires an access token.

urlpatterns = [path("auth/", include(auth_urls(auth))), *well_known_urls(auth)]

@bearer(auth)
def profile(request): ...

`users` has the project's own users, `pages` the middleware for pages without JavaScript, `rest_framework` what Django
REST framework needs.
"""

try:
    import django as django
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.django needs Django: pip install "daypass[django]"') from missing

from daypass.web.django.login import log_in, log_out
from daypass.web.django.missing import explain_missing
from daypass.web.django.require import Refused, bearer, current_user
from daypass.web.django.urls import auth_urls, oauth_urls, well_known_urls

explain_missing()

__all__ = ["Refused", "auth_urls", "bearer", "current_user", "log_in", "log_out", "oauth_urls", "well_known_urls"]
