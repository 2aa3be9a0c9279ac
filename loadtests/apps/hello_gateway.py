"""The gateway: alone, and as a project has it, with Django's page behind ``/page/``."""

import django

from hybrid_gateway import Gateway, get

django.setup()


@get("/hello")
async def hello() -> dict[str, str]:
    """Say hello."""
    return {"message": "Hello, World!"}


router = Gateway([hello])
application = Gateway([hello], django_routes=["/page/"])
wsgi_application = application.wsgi
