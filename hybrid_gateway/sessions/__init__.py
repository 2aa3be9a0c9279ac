"""The work of Django's middleware on a browser's visit, for the typed routes that ask for it, and for no others."""

from django.contrib.sessions.backends.base import SessionBase as Session

from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.sessions.flash_messages import Messages

__all__ = ["Session", "DjangoContext", "Messages"]
