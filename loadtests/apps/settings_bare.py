"""The same project without middleware."""

from loadtests.apps.settings import *  # noqa: F403

MIDDLEWARE = []
