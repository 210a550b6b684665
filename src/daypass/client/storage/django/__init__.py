"""A storage in the database of a Django project, for all of its processes and machines.

Add ``"daypass.client.storage.django"`` to ``INSTALLED_APPS``, and run ``manage.py migrate``.
"""

from daypass.client.storage.django.rows import DjangoStorage

__all__ = [
    "DjangoStorage",
]
