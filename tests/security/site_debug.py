"""The settings of the same project as its developers serve it: under DEBUG, with static files, below middleware."""

from tests.security.site import *  # noqa: F403
from tests.security.site import HYBRID_GATEWAY, INSTALLED_APPS

DEBUG = True
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles", "django.contrib.admin"]
SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E406", "admin.E408", "admin.E409", "admin.E410"]  # its files are enough
HYBRID_GATEWAY = {
    **HYBRID_GATEWAY,
    "ROUTES": "tests.security.site_debug_routes",
    "MIDDLEWARE": ["tests.security.site_answers.adding"],
}
