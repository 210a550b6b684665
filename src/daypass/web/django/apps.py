"""The Django app, for ``INSTALLED_APPS``: it adds system checks."""

from django.apps import AppConfig
from django.core.checks import register


class DaypassConfig(AppConfig):
    """Registers the system checks; it has no models."""

    name = "daypass.web.django"
    label = "daypass"
    verbose_name = "Daypass"

    def ready(self) -> None:
        """Register the checks."""
        from daypass.web.django.checks import check_daypass  # here, because it needs the settings

        register(check_daypass)
