"""Django's own entry points, for the frameworks that live inside it; the settings name their URL configuration."""

from __future__ import annotations

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from loadtests.compare.apps.common import IS_WSGI

application = get_wsgi_application() if IS_WSGI else get_asgi_application()
