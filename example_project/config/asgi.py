"""For ASGI servers: `uvicorn --app-dir example_project config.asgi:application`."""

import os

from hybrid_gateway import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application()
