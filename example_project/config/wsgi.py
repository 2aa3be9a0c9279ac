"""For WSGI servers: `gunicorn --chdir example_project config.wsgi:application`."""

import os

from hybrid_gateway import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
