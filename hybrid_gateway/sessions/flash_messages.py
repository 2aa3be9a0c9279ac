"""Flash messages: what one page leaves for the next that is shown, by ``django.contrib.messages``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from django.apps import apps
from django.contrib.messages import constants

from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError

if TYPE_CHECKING:
    from django.contrib.messages.storage.base import BaseStorage, Message


class Messages:
    """The messages of a visitor, Django's pages' among them; injected by type.

    Adding never waits. To iterate is to show: what was shown is gone with the response. ``async def`` handlers say
    ``async for``, since messages may be in a session that is not loaded yet.
    """

    __slots__ = ("_storage",)

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    @property
    def level(self) -> int:
        """The least level that is added at all: that of the ``MESSAGE_LEVEL`` setting, unless it was set."""
        level: int = self._storage.level
        return level

    @level.setter
    def level(self, level: int) -> None:
        self._storage.level = level

    def add(self, level: int, message: str, extra_tags: str = "") -> None:
        """Leave a message of a level of ``django.contrib.messages.constants``, or of the project's own."""
        self._storage.add(level, message, extra_tags)

    def debug(self, message: str, extra_tags: str = "") -> None:
        """Leave a message for developers, which the default level drops."""
        self.add(constants.DEBUG, message, extra_tags)

    def info(self, message: str, extra_tags: str = "") -> None:
        """Leave a message."""
        self.add(constants.INFO, message, extra_tags)

    def success(self, message: str, extra_tags: str = "") -> None:
        """Leave the message that something was done."""
        self.add(constants.SUCCESS, message, extra_tags)

    def warning(self, message: str, extra_tags: str = "") -> None:
        """Leave the message that something may go wrong."""
        self.add(constants.WARNING, message, extra_tags)

    def error(self, message: str, extra_tags: str = "") -> None:
        """Leave the message that something was not done."""
        self.add(constants.ERROR, message, extra_tags)

    def __len__(self) -> int:
        return len(self._storage)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._storage)

    async def __aiter__(self) -> AsyncIterator[Message]:
        for message in await on_request_thread(list, self._storage):
            yield message


def check_messages_installed() -> None:
    """Raise :class:`ConfigurationError` where the project has no flash messages."""
    if not apps.is_installed("django.contrib.messages"):
        raise ConfigurationError('flash messages need "django.contrib.messages" in INSTALLED_APPS.', id="S010")
