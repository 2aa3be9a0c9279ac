"""The tables of channels over PostgreSQL. ``backends/postgres_statements.py`` has all that reads and writes them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["ChannelState", "KeptMessage", "Presence"]


class ChannelState(models.Model):
    """A channel with history: its row counts the messages, and whoever sends one has it to the end of a transaction."""

    name = models.CharField(_("name"), max_length=255)
    epoch = models.CharField(_("epoch"), max_length=32)
    run = models.CharField(_("run"), max_length=64, help_text=_("The time at which the server was started."))
    last = models.BigIntegerField(_("number of the last message"))
    ends = models.JSONField(_("last numbers of earlier epochs"))
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        # PERF: a constraint, where unique=True would add a second index, for LIKE.
        constraints = [models.UniqueConstraint(fields=["name"], name="hybrid_gateway_channel_name")]

    def __str__(self) -> str:
        return self.name


class KeptMessage(models.Model):
    """A message of a channel with history, or one that is too long for ``NOTIFY``."""

    # PERF: no constraint, which each message would pay for: states outlive their messages by a day.
    state = models.ForeignKey(
        ChannelState, models.CASCADE, null=True, db_constraint=False, db_index=False, verbose_name=_("channel")
    )
    number = models.BigIntegerField(_("number"), null=True)
    offset = models.CharField(_("offset"), max_length=64)
    payload = models.BinaryField(_("payload"))
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("kept message")
        verbose_name_plural = _("kept messages")
        indexes = [
            models.Index(fields=["state", "number"], name="hybrid_gateway_message_number"),
            models.Index(fields=["expires_at"], name="hybrid_gateway_message_end"),
        ]

    def __str__(self) -> str:
        return self.offset


class Presence(models.Model):
    """Somebody who is present in a channel, by a process, which renews the row before it ends."""

    channel = models.CharField(_("channel"), max_length=255)
    member = models.CharField(_("member"), max_length=255)
    holder = models.CharField(_("process"), max_length=32)
    # PERF: without an index, so that renewing needs no new entries in the other one.
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("presence")
        verbose_name_plural = _("presences")
        constraints = [
            models.UniqueConstraint(fields=["channel", "member", "holder"], name="hybrid_gateway_presence_holder")
        ]

    def __str__(self) -> str:
        return f"{self.member} in {self.channel}"
