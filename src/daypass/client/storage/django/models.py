"""The table of shared storages: the same that `daypass.client.storage.postgres` has."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Greatest


class Connection(models.Model):
    """One connection; `daypass.client.storage.row.Row` says what its fields mean. The text is sealed."""

    key = models.CharField(max_length=512, primary_key=True)
    provider = models.CharField(max_length=512)
    format = models.IntegerField()
    revision = models.CharField(max_length=64)
    fence = models.BigIntegerField()
    sealed = models.TextField(null=True)
    written_at = models.BigIntegerField()
    expires_at = models.BigIntegerField(null=True)
    used_at = models.BigIntegerField()
    reason = models.TextField(null=True)
    lease_until = models.BigIntegerField()
    lease = models.BigIntegerField()
    intent_at = models.BigIntegerField(null=True)
    intent_by = models.TextField(null=True)
    last_error = models.TextField(null=True)
    refreshes = models.BigIntegerField()
    repeats = models.BigIntegerField()
    lost = models.BigIntegerField()
    held_until = models.BigIntegerField(db_default=0)

    class Meta:
        """The table's name and its index, by which the connections that are due are found."""

        db_table = "daypass_connection"
        indexes: ClassVar = [
            models.Index(
                "provider",
                Greatest("used_at", "held_until"),
                condition=models.Q(reason__isnull=True),
                name="daypass_connection_due",
            )
        ]

    def __str__(self) -> str:
        return str(self.key)
