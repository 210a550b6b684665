"""The Django app, for ``INSTALLED_APPS``: it has the table of shared storages."""

from django.apps import AppConfig


class DaypassStorageConfig(AppConfig):
    """Has one model, and its migrations."""

    name = "daypass.client.storage.django"
    label = "daypass_storage"
    verbose_name = "Daypass connections"
